import { postgres } from 'tenantry/postgres'
import config from './tenantry.config.ts'

const url = process.env['DATABASE_URL'] ?? ''

// The same server under two names: for what depends on names only.
export default {
  ...config,
  server: undefined,
  servers: [postgres({ name: 'eu-1', url }), postgres({ name: 'us-1', url })],
}
