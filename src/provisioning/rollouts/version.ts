import { sha256 } from '../../kernel/hash.ts'

/** The parts of a version besides the models. */
export interface VersionParts {
  /** The names of the extensions. */
  readonly extensions: readonly string[]
  readonly hasSeed: boolean
  /** The service's own name for the state of the seed. */
  readonly revision: string | number
  /** True if the objects in the database belong to, and are granted to, the roles of the installation. */
  readonly isSeparate: boolean
}

/**
 * Returns the fingerprint of a version: that of the models alone, if there is nothing else. The effects of a seed
 * cannot be read, so its declared revision stands for them.
 */
export function versionFingerprint(
  models: string,
  { extensions, hasSeed, revision, isSeparate }: VersionParts,
): string {
  const isPlain = extensions.length === 0 && !hasSeed && String(revision) === String(firstRevision)
  if (isPlain && !isSeparate) return models
  const parts = [models, extensions.toSorted(), hasSeed, String(revision), ...(isSeparate ? ['separate'] : [])]
  return sha256(JSON.stringify(parts))
}

/** The revision if none is declared. */
export const firstRevision = 1
