import { expect, test } from 'vitest'
// A command's inherited environment is not part of the public face of the package.
import { commandEnvironment } from '../../dist/cli/command-environment.js'

const connection = { PGUSER: 'role', PGPASSWORD: 'own', DATABASE_URL: 'postgresql://role:own@db/acme' }
const person = { PATH: '/bin', HOME: '/home/anna', TERM: 'xterm', LANG: 'C.UTF-8', LC_TIME: 'de_DE', Path: 'C:\\' }
const secrets = {
  TENANTRY_CREDENTIALS_KEY: 'key',
  DATABASE_URL: 'postgresql://admin:s3cret@db/postgres',
  SUPERUSER_URL: 'postgresql://postgres:s3cret@db/postgres',
  PGPASSWORD: 's3cret',
  PGPASSFILE: '/root/.pgpass',
  PGSERVICE: 'admin',
  PGSERVICEFILE: '/root/.pg_service.conf',
  PGSSLKEY: '/root/admin.key',
  PGSSLPASSWORD: 's3cret',
  PGOPTIONS: '-c role=postgres',
  STRIPE_KEY: 's3cret',
  AWS_SECRET_ACCESS_KEY: 's3cret',
  NODE_OPTIONS: '--import=/srv/secret.js',
  NPM_TOKEN: 's3cret',
  LC: 's3cret',
}

test('a command as the tenant inherits harmless variables, and no secret', () => {
  expect(commandEnvironment('tenant', connection, { ...person, ...secrets })).toEqual({ ...person, ...connection })
})

test.each(['administrator', 'owner'] as const)(
  'one as %s inherits all variables but those of another connection',
  (as) => {
    const { STRIPE_KEY, TENANTRY_CREDENTIALS_KEY } = secrets
    const inherited = commandEnvironment(as, connection, { ...person, ...secrets })
    expect(inherited).toMatchObject({ ...person, ...connection, STRIPE_KEY, TENANTRY_CREDENTIALS_KEY })
    for (const name of ['PGSERVICE', 'PGSERVICEFILE', 'PGHOSTADDR', 'PGOPTIONS', 'PGPASSFILE'])
      expect(inherited).not.toHaveProperty(name)
  },
)
