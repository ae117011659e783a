/** Generates the Prisma clients of the tests, the bench and the example, without Prisma's engine of migrations, which is a download. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const env = {
  ...process.env,
  // Any file that exists: generating does not run it.
  PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
  PRISMA_HIDE_UPDATE_MESSAGE: 'true',
  CHECKPOINT_DISABLE: '1',
}

for (const folder of ['test/fixtures/prisma', 'bench/models/prisma', 'examples/prisma/prisma']) {
  const schema = `${folder}/schema.prisma`
  const generate = ['node_modules/prisma/build/index.js', 'generate', '--schema', schema, '--no-hints']
  await promisify(execFile)(process.execPath, generate, { env })
}
