import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { poll } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { Binaries } from './binaries.ts'
import { type Folder, readRecord, writeRecord } from './folder.ts'
import { initialise, removeLeftovers } from './initialise.ts'
import type { ParsedOptions } from './options.ts'
import { answers, freePort } from './port.ts'
import { findServer, type ServerState } from './postmaster-file.ts'
import type { Presence } from './presence.ts'
import type { RunAs } from './run-as.ts'
import { startServer } from './server-process.ts'
import { requestShutdown } from './shutdown.ts'

/** The origin of a call's server. */
export type Outcome = 'started' | 'shared' | 'adopted'

/** The parameters of bringing a server up. The presence holds the lock. */
export interface BringUp {
  readonly options: ParsedOptions
  readonly folder: Folder
  readonly binaries: Binaries
  readonly runAs: RunAs | undefined
  readonly presence: Presence
  readonly signal: AbortSignal
}

/** A running server. It accepts connections, for every outcome. */
export interface BroughtUp {
  readonly server: ServerState
  readonly outcome: Outcome
}

/** The result of an attempt; an unfinished one has the reason, which is reported when the time is over. */
type Attempt = BroughtUp | { readonly waitingFor: string }

const answerMs = 5_000

/**
 * Makes sure that the server of this folder runs: makes its data, starts it, or finds it running.
 *
 * @throws `embedded-failed`, `invalid-option`, `aborted`
 */
export async function bringUp(work: BringUp): Promise<BroughtUp> {
  const { options, folder, binaries, signal } = work
  await removeLeftovers(folder)
  if (existsSync(folder.data)) checkData(work)
  else {
    options.onLog(`Making a data folder for PostgreSQL ${binaries.version} in ${folder.root}.`)
    await initialise({ ...work, superuser: options.superuser ?? 'postgres' })
  }
  let waitingFor = ''
  const attempt = async () => {
    const result = await tryOnce(work)
    if ('server' in result) return result
    waitingFor = result.waitingFor
    return undefined
  }
  const result = await poll(attempt, options.startTimeoutMs, signal)
  if (result === undefined) throw new TenantryError('embedded-failed', waitingFor)
  return result
}

async function tryOnce(work: BringUp): Promise<Attempt> {
  const running = findServer(work.folder.data)
  if (running === undefined) return startNew(work)
  if (running.status === 'stopping' || isStopping(work.folder, running)) {
    return { waitingFor: `The former server (process ${running.pid}) does not end.` }
  }
  if (running.status === 'starting') return { waitingFor: `The server (process ${running.pid}) does not become ready.` }
  return takeRunning(work, running)
}

async function takeRunning({ options, folder, presence, binaries }: BringUp, server: ServerState): Promise<Attempt> {
  const outcome = presence.others > 0 ? 'shared' : 'adopted'
  if (options.port !== undefined && options.port !== server.port) {
    if (outcome === 'shared') throw otherPort(folder, server)
    requestShutdown(server.pid, 'SIGINT', binaries.pgCtl)
    return { waitingFor: `The former server (process ${server.pid}) does not end.` }
  }
  if (!(await answers(server.port, answerMs))) {
    return { waitingFor: `The server (process ${server.pid}) does not answer on port ${server.port}.` }
  }
  options.onLog(`PostgreSQL runs already on port ${server.port} (process ${server.pid}).`)
  return { server, outcome }
}

async function startNew(work: BringUp): Promise<Attempt> {
  const { options, folder, binaries } = work
  const record = readRecord(folder)
  const port = options.port ?? (await freePort(record.port))
  options.onLog(`Starting PostgreSQL ${binaries.version} on port ${port}.`)
  const result = await startServer({ ...work, port, settings: options.settings, limitMs: options.startTimeoutMs })
  switch (result.kind) {
    case 'ready':
      rmSync(folder.stopping, { force: true })
      writeRecord(folder, { port, superuser: record.superuser ?? 'postgres', version: binaries.version })
      return { server: result.server, outcome: 'started' }
    case 'port-taken':
      if (options.port !== undefined) throw portTaken(port)
      return { waitingFor: `Port ${port} was taken by another program.` }
    case 'data-in-use':
      return { waitingFor: `Another server still holds the data in ${folder.data}:\n${result.log}` }
    case 'failed':
      throw new TenantryError('embedded-failed', `PostgreSQL ended while starting (${result.exit}):\n${result.log}`, {
        hint: `Its log is ${folder.log}.`,
      })
  }
}

/** @throws `embedded-failed` if these binaries cannot use the data, `invalid-option` if the superuser is another */
function checkData({ options, folder, binaries }: BringUp): void {
  const file = join(folder.data, 'PG_VERSION')
  const major = existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined
  if (major === undefined) {
    throw new TenantryError('embedded-failed', `${folder.data} is not a data folder of PostgreSQL.`, {
      hint: `Move it away, or remove ${folder.root} to begin with an empty server.`,
    })
  }
  if (major !== String(binaries.major)) throw otherVersion(folder, major, binaries)
  const { superuser = 'postgres' } = readRecord(folder)
  if (options.superuser === undefined || options.superuser === superuser) return
  throw new TenantryError('invalid-option', `The superuser of ${folder.root} is ${JSON.stringify(superuser)}.`, {
    hint: 'It is chosen when the data folder is made. Leave out superuser, or give another dataDir.',
  })
}

function isStopping(folder: Folder, server: ServerState): boolean {
  return existsSync(folder.stopping) && readFileSync(folder.stopping, 'utf8') === String(server.pid)
}

function otherVersion(folder: Folder, major: string, { version, postgres }: Binaries): TenantryError {
  const message = `The data in ${folder.data} was made by PostgreSQL ${major}, and ${postgres} is PostgreSQL ${version}.`
  return new TenantryError('embedded-failed', message, {
    hint: `Give binDir with the programs of PostgreSQL ${major} and carry the data over with pg_dumpall, or remove ${folder.root} to begin with an empty server.`,
  })
}

function otherPort(folder: Folder, server: ServerState): TenantryError {
  return new TenantryError(
    'embedded-failed',
    `The server of ${folder.root} runs on port ${server.port} for another process.`,
    {
      hint: 'Leave out port to share it, or stop the other process first.',
    },
  )
}

function portTaken(port: number): TenantryError {
  return new TenantryError('embedded-failed', `Port ${port} is taken by another program.`, {
    hint: 'Choose another port, or leave it out and take any that is free.',
  })
}
