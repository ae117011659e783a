import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Client, type QueryArrayResult } from 'pg'

// sql <database> <statement> [command...]: runs a statement on the test server as its superuser and prints the rows; with a
// command, runs that one while the session is still open.
const [database, statement = '', command, ...words] = process.argv.slice(2)
const url = new URL(process.env['SUPERUSER_URL'] ?? '')
url.pathname = `/${encodeURIComponent(database ?? '')}`
const client = new Client({ connectionString: url.href })
// The command may be one that ends other sessions.
client.on('error', () => undefined)
await client.connect()
const result: unknown = await client.query({ text: statement, rowMode: 'array' })
// Of several statements at once the last one's rows.
const { rows } = (Array.isArray(result) ? result.at(-1) : result) as QueryArrayResult
if (command === undefined) for (const row of rows) process.stdout.write(`${row.join(' ')}\n`)
else process.exitCode = await run(command, words)
await client.end().catch(() => undefined)

async function run(program: string, args: readonly string[]): Promise<number> {
  const [code] = (await once(spawn(program, args, { stdio: 'inherit' }), 'exit')) as [number | null]
  return code ?? 1
}
