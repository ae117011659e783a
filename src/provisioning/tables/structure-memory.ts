import { gunzipSync, gzipSync } from 'node:zlib'
import type { SchemaSource } from '../../models/port.ts'
import type { BuiltStructure } from '../../server/structure.ts'
import type { Structure } from '../../structure/structure-object.ts'

/** The models of a structure, and the version of the server that worded it. */
export interface MemoryKey {
  readonly fingerprint: string
  readonly majorVersion: number
}

/** A structure that is remembered. */
interface Entry extends MemoryKey {
  readonly structure: Structure
}

/** The number of structures remembered in a database: one for each service that uses it, and each of its versions under way. */
const kept = 8
/** The largest structure, in bytes. */
const largest = 64 * 1024 * 1024

/** The structures of the schemas that this process uses. */
const inProcess = new WeakMap<object, Map<string, BuiltStructure>>()

/** Remembers a structure for as long as the schema source is in use. */
export function keep(schema: SchemaSource, place: string, structure: BuiltStructure): void {
  const known = inProcess.get(schema) ?? new Map<string, BuiltStructure>()
  inProcess.set(schema, known.set(place, structure))
}

/** Finds what {@link keep} remembered. */
export function findKept(schema: SchemaSource, place: string): BuiltStructure | undefined {
  return inProcess.get(schema)?.get(place)
}

/** Finds a structure in what was stored in a database; undefined if it is not there, or not ours to read. */
export function recall(memory: string | undefined, key: MemoryKey): Structure | undefined {
  return entriesOf(memory).find((entry) => isOf(entry, key))?.structure
}

/** Adds a structure to what was stored in a database, and forgets the oldest. */
export function memorize(memory: string | undefined, key: MemoryKey, structure: Structure): string {
  const others = entriesOf(memory).filter((entry) => !isOf(entry, key))
  return packed([{ ...key, structure }, ...others].slice(0, kept))
}

/** A value as text that any column or comment can hold. */
export function packed(value: unknown): string {
  return gzipSync(JSON.stringify(value)).toString('base64')
}

/** The value of {@link packed}. The caller checks it. */
export function unpacked(text: string): unknown {
  return JSON.parse(gunzipSync(Buffer.from(text, 'base64'), { maxOutputLength: largest }).toString())
}

function isOf(entry: Entry, { fingerprint, majorVersion }: MemoryKey): boolean {
  return entry.fingerprint === fingerprint && entry.majorVersion === majorVersion
}

function entriesOf(memory: string | undefined): readonly Entry[] {
  if (memory === undefined) return []
  try {
    const entries: unknown = unpacked(memory)
    return Array.isArray(entries) ? (entries as unknown[]).filter(isEntry) : []
  } catch {
    return []
  }
}

function isEntry(value: unknown): value is Entry {
  if (typeof value !== 'object' || value === null) return false
  const { fingerprint, majorVersion, structure } = value as Partial<Entry>
  return typeof fingerprint === 'string' && typeof majorVersion === 'number' && isStructure(structure)
}

/** True for what has the shape of a structure. */
export function isStructure(value: unknown): value is Structure {
  return (
    Array.isArray(value) &&
    (value as unknown[]).every((object) => {
      if (typeof object !== 'object' || object === null) return false
      const { kind, schema, name, definition } = object as Record<string, unknown>
      return [kind, schema, name, definition].every((it) => typeof it === 'string')
    })
  )
}
