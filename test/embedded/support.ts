import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { onTestFinished } from 'vitest'
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from 'tenantry/embedded'

/** Returns a folder that is removed after the test, with any server that still runs there. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-embedded-'))
  onTestFinished(async () => {
    const pid = serverPid(folder)
    if (pid !== undefined && isRunning(pid)) {
      process.kill(pid, 'SIGQUIT')
      await until(() => !isRunning(pid))
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return folder
}

/** Starts a server that the test stops when it is over. */
export async function start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres(options)
  onTestFinished(() => server.stop())
  return server
}

export async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/** A program that uses the server of that folder, and the line that it prints when it is ready. */
export async function runProgram(task: object): Promise<{ child: ChildProcess; ready: Record<string, unknown> }> {
  const child = runNode(fileURLToPath(new URL('program.ts', import.meta.url)), [JSON.stringify(task)])
  return { child, ready: JSON.parse(await nextLine(child)) as Record<string, unknown> }
}

export function runNode(program: string, words: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
  const child = spawn(process.execPath, [program, ...words], { stdio, env: { ...process.env, ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

export async function nextLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('The program has no output to read.')
  const lines = createInterface({ input: child.stdout })
  const [line] = (await Promise.race([once(lines, 'line'), once(lines, 'close')])) as [string?]
  if (line === undefined) throw new Error('The program ended before it printed a line.')
  return line
}

/** Returns the end of a program: its exit code, or the signal that it died of. */
export async function ending(child: ChildProcess): Promise<number | string | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.exitCode ?? child.signalCode
}

/** Returns the pid in the server's own file, even of one that has ended. */
export function serverPid(dataDir: string): number | undefined {
  const file = join(dataDir, 'data', 'postmaster.pid')
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : undefined
}

export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z'
  } catch {
    return false
  }
}

/** Looks again and again, for at most 20 seconds. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('It did not come to that in 20 seconds.')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
