import type { Version } from '../index.ts'

/** Reads a version as people write it: its number, or its fingerprint. */
export function versionFrom(text: string): number | string {
  return /^\d{1,9}$/.test(text) ? Number(text) : text
}

/** Returns a version as people read it. */
export function versionText({ number, fingerprint }: Version): string {
  return `${number} (${fingerprint.slice(0, 12)})`
}
