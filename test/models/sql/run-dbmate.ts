import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { resolveBinary } from 'dbmate'
import { createRole, dropAfterwards, serverUrl } from '../../support/server.ts'

const run = promisify(execFile)

// Its driver refuses the cheap password of the tests' superuser.
const login = await createRole('superuser')
dropAfterwards(login.user)

/** Runs dbmate on a database, and returns what it applied. */
export async function dbmate(database: string, folder: string): Promise<string[]> {
  const options = [
    '--url',
    `${serverUrl({ database, ...login })}?sslmode=disable`,
    '--migrations-dir',
    folder,
    '--no-dump-schema',
  ]
  const { stdout } = await run(resolveBinary(), [...options, 'migrate', '--strict'])
  return [...stdout.matchAll(/^Applying: (.*)$/gm)].map(([, file]) => file!)
}
