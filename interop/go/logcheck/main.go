// Logcheck reads a gateway's public log with Go's own implementation of transparency logs and signed notes, which knows nothing of ours.
//
// Usage: logcheck URL [CHECKPOINT]; CHECKPOINT is a file with one that was kept. It prints a line of JSON, and ends with status 1 where something does not hold.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const width = 256

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "logcheck:", err)
		os.Exit(1)
	}
}

func get(url string) ([]byte, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 32<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, answer.Status, body)
	}
	return body, err
}

// Checkpoint opens a signed note and reads the tree that it is over.
func checkpoint(written []byte, verifier note.Verifier) (tlog.Tree, error) {
	var tree tlog.Tree
	opened, err := note.Open(written, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	hash, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || copy(tree.Hash[:], hash) != tlog.HashSize {
		return tree, fmt.Errorf("no root: %q", lines[2])
	}
	return tree, nil
}

// Reader reads tiles as Go's package asks for them.
type reader struct{ url string }

func (reader) Height() int { return 8 }

func (r reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		data, err := get(r.url + "/log/" + strings.Replace(t.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (reader) SaveTiles([]tlog.Tile, [][]byte) {}

func run(args []string) error {
	url := strings.TrimSuffix(args[0], "/")
	key, err := get(url + "/log/key")
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		return err
	}
	written, err := get(url + "/log/checkpoint")
	if err != nil {
		return err
	}
	tree, err := checkpoint(written, verifier)
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(tree, reader{url})
	proved, receipts := 0, 0
	for n := int64(0); n*width < tree.N; n++ {
		path := tlog.Tile{H: 8, L: 0, N: n, W: int(min(width, tree.N-n*width))}.Path()
		bundle, err := get(url + "/log/" + strings.Replace(path, "tile/8/0/", "tile/entries/", 1))
		if err != nil {
			return err
		}
		for i := n * width; len(bundle) > 0; i++ {
			length := int(binary.BigEndian.Uint16(bundle))
			entry := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			proof, err := tlog.ProveRecord(tree.N, i, hashes)
			if err != nil {
				return err
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, i, tlog.RecordHash(entry)); err != nil {
				return fmt.Errorf("entry %d: %w", i, err)
			}
			proved++
			if bytes.Contains(entry, []byte(`"type":"witness"`)) {
				if err := checkProof(url, i, entry, verifier); err != nil {
					return fmt.Errorf("entry %d: %w", i, err)
				}
				receipts++
			}
		}
	}
	if int64(proved) != tree.N {
		return fmt.Errorf("%d entries of %d", proved, tree.N)
	}
	var grownFrom int64
	if len(args) > 1 {
		kept, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		old, err := checkpoint(kept, verifier)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveTree(tree.N, old.N, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			return fmt.Errorf("not grown from the checkpoint over %d: %w", old.N, err)
		}
		if err := checkConsistency(url, old, verifier); err != nil {
			return err
		}
		grownFrom = old.N
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"origin": verifier.Name(), "size": tree.N, "proved": proved, "receipts": receipts, "grownFrom": grownFrom})
}

// The gateway's own proofs, checked by Go.
type answer struct {
	Index      int64
	Entry      string
	Path       [][]byte
	Checkpoint string
}

func ask(url string, verifier note.Verifier) (answer, tlog.Tree, error) {
	var said answer
	data, err := get(url)
	if err == nil {
		err = json.Unmarshal(data, &said)
	}
	if err != nil {
		return said, tlog.Tree{}, err
	}
	tree, err := checkpoint([]byte(said.Checkpoint), verifier)
	return said, tree, err
}

func hashes(path [][]byte) []tlog.Hash {
	var all []tlog.Hash
	for _, p := range path {
		var h tlog.Hash
		copy(h[:], p)
		all = append(all, h)
	}
	return all
}

func checkProof(url string, index int64, entry []byte, verifier note.Verifier) error {
	var named struct{ Id string }
	if err := json.Unmarshal(entry, &named); err != nil {
		return err
	}
	said, tree, err := ask(url+"/log/proof/"+named.Id, verifier)
	if err != nil {
		return err
	}
	if said.Index != index || said.Entry != string(entry) {
		return fmt.Errorf("the proof is of another entry: %d %s", said.Index, said.Entry)
	}
	return tlog.CheckRecord(hashes(said.Path), tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

func checkConsistency(url string, old tlog.Tree, verifier note.Verifier) error {
	said, tree, err := ask(fmt.Sprintf("%s/log/consistency/%d", url, old.N), verifier)
	if err != nil {
		return err
	}
	return tlog.CheckTree(hashes(said.Path), tree.N, tree.Hash, old.N, old.Hash)
}
