/** An object of JSON, for {@link mergePatch}. */
export type JsonObject = Readonly<Record<string, unknown>>

/**
 * Applies a JSON merge patch: a key of the patch replaces that of the target, objects are merged, `null` removes.
 * https://www.rfc-editor.org/rfc/rfc7396
 */
export function mergePatch(target: JsonObject, patch: JsonObject): JsonObject {
  const merged = new Map(Object.entries(target))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key)
    else if (value !== undefined)
      merged.set(key, isObject(value) ? mergePatch(objectOr(merged.get(key)), value) : value)
  }
  return Object.fromEntries(merged)
}

function objectOr(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
