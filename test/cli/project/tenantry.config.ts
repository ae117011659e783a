import { defineConfig } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { Note } from './models.ts'

// The configuration of the transcripts in test/cli, in a folder of their own.
export default defineConfig({
  installation: process.env['INSTALLATION'] ?? '',
  servers: [postgres({ url: process.env['DATABASE_URL'] ?? '' })],
  models: mikroOrm({ entities: [Note] }),
})
