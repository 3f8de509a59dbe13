"""x402's official Python package as client, server and facilitator, for the tests beside.

  x402_peers.py call SCHEME URL [BODY ...]      key in GRIDTIE_KEY, RPC in GRIDTIE_RPC; a line of JSON for each body
  x402_peers.py tool URL ARGUMENTS               calls the tool chat by MCP, pays, and prints a line of JSON
  x402_peers.py serve SCHEME FACILITATOR PAY_TO ASSET
  x402_peers.py facilitate RPC                   key in GRIDTIE_KEY
  x402_peers.py facilitate-solana RPC            the same on Solana

SCHEME is exact, exact-permit2, upto, batch-settlement or exact-solana; a key on Solana is a seed in hexadecimal. What serves prints "ready URL" and ends with its standard input.
"""

import base64
import json
import os
import socket
import sys
import threading
from types import SimpleNamespace

from eth_account import Account

NETWORK = "eip155:84532"
SOLANA = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"


def network_of(scheme):
    return SOLANA if scheme == "exact-solana" else NETWORK


def solana_key():
    from solders.keypair import Keypair

    return Keypair.from_seed(bytes.fromhex(os.environ["GRIDTIE_KEY"]))


def client_scheme(scheme, rpc):
    if scheme == "exact-solana":
        from x402.mechanisms.svm.exact import ExactSvmClientScheme
        from x402.mechanisms.svm.signers import KeypairSigner

        return ExactSvmClientScheme(KeypairSigner(solana_key()), rpc)
    account = Account.from_key(os.environ["GRIDTIE_KEY"])
    if scheme == "upto":
        from x402.mechanisms.evm.upto.client import UptoEvmScheme

        return UptoEvmScheme(account)
    if scheme == "batch-settlement":
        from x402.mechanisms.evm.batch_settlement.client import (
            BatchSettlementEvmScheme,
            BatchSettlementEvmSchemeOptions,
        )
        from x402.mechanisms.evm.signers import EthAccountSignerWithRPC

        return BatchSettlementEvmScheme(
            EthAccountSignerWithRPC(account, rpc), BatchSettlementEvmSchemeOptions(salt="0x" + "9a" * 32)
        )
    from x402.mechanisms.evm.exact import ExactEvmClientScheme

    return ExactEvmClientScheme(account)


def call(scheme, url, *bodies):
    from x402 import x402ClientSync
    from x402.http.clients.requests import x402_requests

    def choose(version, offered):
        permit2 = scheme == "exact-permit2"
        fit = [a for a in offered if ((a.extra or {}).get("assetTransferMethod") == "permit2") == permit2]
        return (fit or offered)[0]

    client = x402ClientSync(payment_requirements_selector=choose)
    client.register(network_of(scheme), client_scheme(scheme, os.environ["GRIDTIE_RPC"]))
    session = x402_requests(client)
    for body in bodies or (None,):
        answer = session.get(url) if body is None else session.post(url, json=json.loads(body))
        header = answer.headers.get("PAYMENT-RESPONSE")
        settled = json.loads(base64.b64decode(header)) if header else None
        print(json.dumps({"status": answer.status_code, "text": answer.text, "settled": settled}), flush=True)


def tool(url, arguments):
    import asyncio

    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client
    from x402 import x402Client
    from x402.mcp.client_async import create_x402_mcp_client

    class Tools:
        """The session, called as x402's client calls one."""

        def __init__(self, session):
            self.session = session

        async def call_tool(self, params, **kwargs):
            result = await self.session.call_tool(params["name"], params["arguments"], meta=params.get("_meta"))
            return SimpleNamespace(
                content=result.content,
                isError=result.isError,
                structuredContent=result.structuredContent,
                _meta=result.meta or {},
            )

    async def main():
        payer = x402Client()
        payer.register(NETWORK, client_scheme("exact", ""))
        async with streamable_http_client(url) as (read, write, *_):
            async with ClientSession(read, write) as session:
                await session.initialize()
                client = create_x402_mcp_client(Tools(session), payer)
                result = await client.call_tool("chat", json.loads(arguments))
                settled = result.payment_response
                print(
                    json.dumps(
                        {
                            "error": result.is_error,
                            "paid": result.payment_made,
                            "text": result.content[0].text if hasattr(result.content[0], "text") else result.content[0]["text"],
                            "settled": settled.model_dump(by_alias=True) if settled else None,
                        }
                    ),
                    flush=True,
                )

    asyncio.run(main())


def run(app):
    """Serves a Flask app on a free port until standard input ends."""
    from werkzeug.serving import make_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"ready http://127.0.0.1:{port}", flush=True)
    sys.stdin.read()


def serve(scheme, facilitator, pay_to, asset):
    from flask import Flask, jsonify
    from x402.http import FacilitatorConfig, HTTPFacilitatorClientSync
    from x402.http.middleware.flask import payment_middleware, set_settlement_overrides
    from x402.http.types import PaymentOption, RouteConfig
    from x402.mechanisms.evm.batch_settlement.server import BatchSettlementEvmScheme
    from x402.mechanisms.evm.exact import ExactEvmServerScheme
    from x402.mechanisms.evm.upto import UptoEvmServerScheme
    from x402.schemas import AssetAmount
    from x402.server import x402ResourceServerSync

    server = x402ResourceServerSync(HTTPFacilitatorClientSync(FacilitatorConfig(url=facilitator)))
    server.register(NETWORK, ExactEvmServerScheme())
    server.register(NETWORK, UptoEvmServerScheme())
    if scheme == "exact-solana":
        from x402.mechanisms.svm.exact import ExactSvmServerScheme

        server.register(SOLANA, ExactSvmServerScheme())
    else:
        server.register(NETWORK, BatchSettlementEvmScheme(pay_to))
    extra = {} if scheme == "exact-solana" else {"name": "USDC", "version": "2"}
    if scheme == "exact-permit2":
        extra["assetTransferMethod"] = "permit2"
    option = PaymentOption(
        scheme="exact" if scheme.startswith("exact") else scheme,
        pay_to=pay_to,
        price=AssetAmount(amount="1000", asset=asset, extra=extra),
        network=network_of(scheme),
        max_timeout_seconds=60,
    )
    app = Flask("answer")

    @app.get("/answer")
    def answer():
        response = jsonify(answer=42)
        if scheme == "upto":
            set_settlement_overrides(response, {"amount": "400"})
        return response

    payment_middleware(app, {"GET /answer": RouteConfig(accepts=option, description="an answer")}, server)
    run(app)


def facilitate_solana(rpc):
    from x402.facilitator import x402FacilitatorSync
    from x402.mechanisms.svm.exact import ExactSvmFacilitatorScheme
    from x402.mechanisms.svm.signers import FacilitatorKeypairSigner

    facilitator = x402FacilitatorSync()
    facilitator.register([SOLANA], ExactSvmFacilitatorScheme(FacilitatorKeypairSigner(solana_key(), rpc)))
    run(facilitator_app(facilitator))


def facilitate(rpc):
    from x402.facilitator import x402FacilitatorSync
    from x402.mechanisms.evm.batch_settlement.authorizer_signer import LocalAuthorizerSigner
    from x402.mechanisms.evm.batch_settlement.facilitator import BatchSettlementEvmFacilitator
    from x402.mechanisms.evm.exact import ExactEvmFacilitatorScheme
    from x402.mechanisms.evm.signers import FacilitatorWeb3Signer
    from x402.mechanisms.evm.upto.facilitator import UptoEvmScheme

    key = os.environ["GRIDTIE_KEY"]
    signer = FacilitatorWeb3Signer(private_key=key, rpc_url=rpc)
    facilitator = x402FacilitatorSync()
    facilitator.register([NETWORK], ExactEvmFacilitatorScheme(signer))
    facilitator.register([NETWORK], UptoEvmScheme(signer))
    authorizer = LocalAuthorizerSigner(Account.from_key(key))
    facilitator.register([NETWORK], BatchSettlementEvmFacilitator(signer, authorizer))
    run(facilitator_app(facilitator))


def facilitator_app(facilitator):
    from flask import Flask, Response, request
    from x402.schemas import parse_payment_payload, parse_payment_requirements

    app = Flask("facilitator")

    def said(model):
        return Response(model.model_dump_json(by_alias=True, exclude_none=True), mimetype="application/json")

    def asked():
        body = request.get_json()
        payload = parse_payment_payload(body["paymentPayload"])
        return payload, parse_payment_requirements(payload.x402_version, body["paymentRequirements"])

    app.add_url_rule("/supported", "supported", lambda: said(facilitator.get_supported()))
    app.add_url_rule("/verify", "verify", lambda: said(facilitator.verify(*asked())), methods=["POST"])
    app.add_url_rule("/settle", "settle", lambda: said(facilitator.settle(*asked())), methods=["POST"])
    return app


if __name__ == "__main__":
    commands = {"call": call, "tool": tool, "serve": serve, "facilitate": facilitate, "facilitate-solana": facilitate_solana}
    commands[sys.argv[1]](*sys.argv[2:])
