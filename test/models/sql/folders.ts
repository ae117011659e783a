import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterwards } from '../../support/server.ts'

/** Texts by the names of their files. */
export type Files = Readonly<Record<string, string>>

/** Makes a folder of files, removed afterwards. */
export async function folderWith(files: Files): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-migrations-'))
  afterwards(() => rm(folder, { recursive: true, force: true }))
  await addFiles(folder, files)
  return folder
}

/** Writes further files into a folder. */
export async function addFiles(folder: string, files: Files): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
}
