import { readFile } from 'node:fs/promises'
import { cpus, platform, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { connect } from './peers/maintenance.ts'
import { onServer } from './server.ts'

/** The facts that the figures depend on. */
export interface Facts {
  readonly date: string
  readonly processors: string
  readonly memory: string
  readonly system: string
  readonly node: string
  readonly postgres: string
  readonly settings: Readonly<Record<string, string>>
  /** Contender to version. */
  readonly versions: Readonly<Record<string, string>>
}

const shownSettings = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'wal_sync_method',
  'max_connections',
  'shared_buffers',
  'max_wal_size',
  'checkpoint_timeout',
  'password_encryption',
]

/** Reads the facts of the machine and a server. */
export async function readFacts(): Promise<Facts> {
  const server = await onServer(readSettings)
  const [processor] = cpus()
  return {
    date: new Date().toISOString().slice(0, 10),
    processors: `${cpus().length} x ${processor?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
    system: `${platform()} ${release()}`,
    node: process.versions.node,
    ...server,
    versions: await readVersions(),
  }
}

async function readSettings(url: string): Promise<Pick<Facts, 'postgres' | 'settings'>> {
  const client = await connect(url)
  try {
    const { rows } = await client.query<{ name: string; value: string }>(
      'select name, current_setting(name) as value from pg_settings where name = any($1::text[])',
      [['server_version', ...shownSettings]],
    )
    const { server_version: postgres = 'unknown', ...settings } = Object.fromEntries(
      rows.map(({ name, value }) => [name, value]),
    )
    return { postgres, settings }
  } finally {
    await client.end()
  }
}

/** Reads the installed versions from the manifests, since they are pinned. */
async function readVersions(): Promise<Readonly<Record<string, string>>> {
  const [bench, tenantry] = await Promise.all(['package.json', '../package.json'].map(readManifest))
  return {
    Tenantry: tenantry?.version ?? 'unknown',
    ...Object.fromEntries(Object.entries(bench?.dependencies ?? {}).filter(([name]) => name !== 'tenantry')),
  }
}

interface Manifest {
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
}

async function readManifest(path: string): Promise<Manifest> {
  const file = fileURLToPath(new URL(path, import.meta.url))
  return JSON.parse(await readFile(file, 'utf8')) as Manifest
}
