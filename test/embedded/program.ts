// A program that uses an embedded server until it is ended. Its first argument is its task, as JSON.
import { Client } from 'pg'
import { startEmbeddedPostgres } from 'tenantry/embedded'

interface Task {
  readonly dataDir: string
  /** Listens to SIGTERM as a program does that finishes its work first. */
  readonly ownHandler?: boolean
  /** Runs to its end instead of waiting. */
  readonly end?: boolean
}

const task = JSON.parse(process.argv[2] ?? '') as Task
const server = await startEmbeddedPostgres({ dataDir: task.dataDir })
if (task.ownHandler === true) process.once('SIGTERM', () => void finish())
const alive = setInterval(() => {}, 1_000)
if (task.end === true) clearInterval(alive)
print({ port: server.port, outcome: server.outcome, url: server.url })

/** Shows that the server still answers while a program finishes. */
async function finish(): Promise<void> {
  const client = new Client({ connectionString: server.url })
  await client.connect()
  const { rows } = await client.query('select 42 as answer')
  await client.end()
  print(rows[0])
  process.exitCode = 7
  clearInterval(alive)
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
