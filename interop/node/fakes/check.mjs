// What a strict server says no with.
export class Bad extends Error {
  constructor(message, status = 400) {
    super(message);
    this.status = status;
  }
}

export const need = (condition, message, status) => {
  if (!condition) throw new Bad(message, status);
};

/** Refuses fields that the vendor's own types do not have. */
export function only(object, allowed, where) {
  need(object && typeof object === "object" && !Array.isArray(object), `${where} must be an object`);
  for (const key of Object.keys(object)) need(allowed.includes(key), `${where}: unknown field "${key}"`);
}

export const isText = (value) => typeof value === "string" && value.length > 0;

/** A JSON Schema that says at least that it describes an object. */
export const isSchema = (value) => value && typeof value === "object" && value.type === "object";

export const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
