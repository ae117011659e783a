/**
 * What Tenantry writes on its databases, as the comment on them. Every role of the server can read it, so it names a
 * tenant by its opaque row id only.
 */
export interface Stamp {
  /** The installation's id. */
  readonly installation: string
  readonly kind: 'building' | 'tenant'
  /** The row id of the tenant in the catalog. */
  readonly row: string
  /** The version of the models that the database was made with. */
  readonly fingerprint: string
  /** The comment that an adopted database had before. */
  readonly comment?: string | undefined
}

/** The stamp as it is stored. */
export function writeStamp(stamp: Stamp): string {
  return JSON.stringify({ tenantry: 1, ...stamp })
}

/** Reads a comment; undefined for one that is not a stamp. Anybody may have written anything there. */
export function readStamp(text: string | undefined): Stamp | undefined {
  const value = parse(text)
  if (typeof value !== 'object' || value === null || !('tenantry' in value)) return undefined
  const { installation, kind, row, fingerprint, comment } = value as Partial<Record<keyof Stamp, unknown>>
  if (typeof installation !== 'string' || typeof row !== 'string' || typeof fingerprint !== 'string') return undefined
  if (kind !== 'building' && kind !== 'tenant') return undefined
  return { installation, kind, row, fingerprint, ...(typeof comment === 'string' && { comment }) }
}

function parse(text: string | undefined): unknown {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
