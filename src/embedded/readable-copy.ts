import { randomUUID } from 'node:crypto'
import { chmodSync, cpSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { TenantryError } from '../kernel/errors.ts'

/** A folder that only root writes to: root must not start programs from a folder that others may write to. */
const cacheFolder = '/var/cache/tenantry'

/**
 * Copies a package's binaries to a folder that every user may read, once for each version. Needed if this process is
 * root and the project lies below a folder that is closed to others.
 *
 * @param name identifies this version and platform
 * @returns the folder of the copy
 */
export function copyForEverybody(native: string, name: string): string {
  const copy = join(cacheFolder, name)
  mkdirSync(cacheFolder, { recursive: true })
  chmodSync(cacheFolder, 0o755)
  if (lstatSync(copy, { throwIfNoEntry: false }) === undefined) makeCopy(native, copy)
  if (lstatSync(copy).uid === process.getuid?.()) return copy
  throw new TenantryError('embedded-failed', `${copy} belongs to another user, so its programs are not run.`, {
    hint: 'Remove it and try again.',
  })
}

function makeCopy(native: string, copy: string): void {
  const beside = `${copy}.${randomUUID()}`
  try {
    cpSync(native, beside, { recursive: true, verbatimSymlinks: true })
    openForReading(beside)
    renameSync(beside, copy)
  } catch (error) {
    // Another process may have been faster, which is as good.
    if (lstatSync(copy, { throwIfNoEntry: false }) === undefined) throw error
  } finally {
    rmSync(beside, { recursive: true, force: true })
  }
}

function openForReading(folder: string): void {
  chmodSync(folder, 0o755)
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) openForReading(path)
    else if (entry.isFile()) chmodSync(path, (lstatSync(path).mode & 0o111) === 0 ? 0o644 : 0o755)
  }
}
