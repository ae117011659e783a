import { createHash } from 'node:crypto'

/** What a version has beside the models. */
export interface VersionParts {
  /** The names of the extensions. */
  readonly extensions: readonly string[]
  readonly hasSeed: boolean
  /** The service's own word for what the seed does. */
  readonly revision: string | number
  /** Whether what is in the database belongs to, and is granted to, the roles of the installation. */
  readonly isSeparate: boolean
}

/**
 * The fingerprint of a version: that of the models alone, where there is nothing else. What a seed does cannot be read
 * from it, so its declared revision stands for it.
 */
export function versionFingerprint(
  models: string,
  { extensions, hasSeed, revision, isSeparate }: VersionParts,
): string {
  const isPlain = extensions.length === 0 && !hasSeed && String(revision) === String(firstRevision)
  if (isPlain && !isSeparate) return models
  const parts = [models, extensions.toSorted(), hasSeed, String(revision), ...(isSeparate ? ['separate'] : [])]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** The revision where none is declared. */
export const firstRevision = 1
