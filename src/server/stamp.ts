/**
 * The stamp of Tenantry on its databases: the comment on them. Every role of the server can read it, so it names a
 * tenant by its opaque row id only.
 */
export interface Stamp {
  /** The installation's id. */
  readonly installation: string
  readonly kind: (typeof kinds)[number]
  /** The row id in the catalog of the tenant, the template or the spare. */
  readonly row: string
  /** The version of the models that the database was made with. */
  readonly fingerprint: string
  /** The last state of a tenant's database; undefined for other databases, and in older stamps. */
  readonly state?: string | undefined
  /** The number of the tenant's transition into that state, which rises with each. */
  readonly transition?: number | undefined
  /** The comment that an adopted database had before. */
  readonly comment?: string | undefined
}

const kinds = ['building', 'tenant', 'template', 'spare'] as const

/** Returns the stamp in its stored form. The function that claims a spare gives it the same form. */
export function writeStamp(stamp: Stamp): string {
  return JSON.stringify({ tenantry: 1, ...stamp })
}

/** Reads a comment; undefined for one that is not a stamp. The comment may be any text. */
export function readStamp(text: string | undefined): Stamp | undefined {
  const value = parseStamp(text)
  if (typeof value !== 'object' || value === null || !('tenantry' in value)) return undefined
  const { installation, kind, row, fingerprint, state, transition, comment } = value as Partial<
    Record<keyof Stamp, unknown>
  >
  if (typeof installation !== 'string' || typeof row !== 'string' || typeof fingerprint !== 'string') return undefined
  const known = kinds.find((it) => it === kind)
  if (known === undefined) return undefined
  return {
    installation,
    kind: known,
    row,
    fingerprint,
    ...(typeof state === 'string' && { state }),
    ...(typeof transition === 'number' && { transition }),
    ...(typeof comment === 'string' && { comment }),
  }
}

function parseStamp(text: string | undefined): unknown {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
