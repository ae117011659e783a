import { fileURLToPath } from 'node:url'
import { checked } from '../../kernel/options.ts'

/** True for the path of a folder, or its file URL. */
export function isFolder(value: unknown): boolean {
  return value instanceof URL ? value.protocol === 'file:' : typeof value === 'string' && value !== ''
}

/** Returns the schema of a folder's path or file URL. */
export function folderOrUrl(hint: string) {
  return checked<string | URL>(isFolder, 'the path or file URL of a folder', hint)
}

export function folderPath(folder: string | URL): string {
  return folder instanceof URL ? fileURLToPath(folder) : folder
}
