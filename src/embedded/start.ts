import { throwIfAborted } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { type Binaries, findBinaries } from './binaries.ts'
import { bringUp } from './bring-up.ts'
import { type EmbeddedPostgres, RunningPostgres } from './embedded-postgres.ts'
import { type Folder, layout, openFolder, openForPassing, readPassword, readRecord } from './folder.ts'
import { waitForLock } from './lock.ts'
import { tailIfAny } from './log-file.ts'
import { type EmbeddedPostgresOptions, type ParsedOptions, parseOptions } from './options.ts'
import { Presence } from './presence.ts'
import { chooseUser, type RunAs } from './run-as.ts'

/**
 * Makes sure that a PostgreSQL server runs on 127.0.0.1 with its data in the given folder, for development and tests.
 *
 * Any number of processes may call it for one folder at the same time: one starts the server, all use it, and the last
 * to stop (or to end) ends it. It also ends with this process, by exit, SIGINT, SIGTERM or SIGHUP; the next call adopts
 * a server that a killed process left running. Its data is as durable as PostgreSQL's defaults make it.
 *
 * @throws `embedded-unavailable` if there are no binaries for this platform
 * @throws `embedded-failed` if the server cannot be prepared or started, with the end of its log
 * @throws `invalid-option`, `invalid-name`, `aborted`
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const parsed = parseOptions(options)
  throwIfAborted(parsed.signal)
  const deadline = AbortSignal.timeout(parsed.startTimeoutMs)
  const signal = parsed.signal === undefined ? deadline : AbortSignal.any([parsed.signal, deadline])
  try {
    return await start(parsed, signal)
  } catch (error) {
    if (deadline.aborted && parsed.signal?.aborted !== true) throw timedOut(parsed, error)
    throw error instanceof TenantryError ? error : unexpected(parsed, error)
  }
}

async function start(options: ParsedOptions, signal: AbortSignal): Promise<EmbeddedPostgres> {
  const folder = openFolder(options.dataDir)
  const runAs = chooseUser(folder.data)
  if (runAs !== undefined) openForPassing(folder.root)
  const binaries = await findBinaries(options.binDir, runAs)
  const lock = await waitForLock(folder.lock, options.startTimeoutMs, signal)
  try {
    const presence = new Presence(folder, lock, binaries.pgCtl)
    return await use({ options, folder, binaries, runAs, presence, signal })
  } finally {
    lock.release()
  }
}

interface Use {
  readonly options: ParsedOptions
  readonly folder: Folder
  readonly binaries: Binaries
  readonly runAs: RunAs | undefined
  readonly presence: Presence
  readonly signal: AbortSignal
}

async function use(parts: Use): Promise<EmbeddedPostgres> {
  const { folder, presence, binaries } = parts
  try {
    const brought = await bringUp(parts)
    const { superuser = 'postgres', version = binaries.version } = readRecord(folder)
    const password = readPassword(folder)
    presence.settle(brought.server.pid)
    return new RunningPostgres({ ...brought, folder, superuser, version, password, presence })
  } catch (error) {
    // The caller has to know the first error.
    await presence.stop().catch(() => {})
    throw error
  }
}

function timedOut({ startTimeoutMs, dataDir }: ParsedOptions, cause: unknown): TenantryError {
  const { log } = layout(dataDir)
  const message = `The embedded PostgreSQL did not start within ${startTimeoutMs} ms. Its log ends with:\n${tailIfAny(log)}`
  return new TenantryError('embedded-failed', message, {
    cause,
    hint: `Give it longer with startTimeoutMs. The whole log is ${log}.`,
    retryable: true,
  })
}

function unexpected({ dataDir }: ParsedOptions, cause: unknown): TenantryError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new TenantryError('embedded-failed', `The embedded PostgreSQL in ${dataDir} could not be started: ${reason}`, {
    cause,
    hint: 'Check that the folder belongs to this user and is writable, and that the disk is not full.',
  })
}
