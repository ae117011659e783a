import * as fc from 'fast-check'
import { ensureDatabase, openTenantry } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { beforeAll, expect, test } from 'vitest'
import { Address, User } from '../../../examples/service/models.ts'
import { serverUrl } from '../../support/server.ts'
import { openTestTenantry, type TestTenantry } from '../../support/tenants.ts'
import { attempt, expectRefused } from './refusal.ts'
import { cases, printSeed, runs, tally } from './seed.ts'
import { hostileText, longText, notText } from './texts.ts'
import { watch, type World } from './world.ts'

printSeed('names of everything else')

const models = mikroOrm({ entities: [User, Address] })
const server = postgres({ url: serverUrl() })
/** Aborted from the start: everything is checked before any request, so there is none. */
const signal = AbortSignal.abort()

let tenantry: TestTenantry<unknown>
let world: World
beforeAll(async () => {
  tenantry = await openTestTenantry<unknown>(models)
  world = await watch(tenantry.installation)
})

interface Naming {
  readonly call: (text: string) => Promise<unknown>
  readonly isGood: (value: unknown) => boolean
  /** The codes of the call with a good name. Default: that its signal was aborted. */
  readonly ends?: readonly string[]
}

const configured = (
  key: string,
  isGood: Naming['isGood'],
  wrap: (text: string) => unknown = (text) => text,
): Naming => ({
  call: (text) => openTenantry({ models, servers: [server], signal, [key]: wrap(text) }),
  isGood,
})

const ensured = (key: string, isGood: Naming['isGood'] = isIdentifier): Naming => ({
  call: (text) => ensureDatabase(serverUrl({ database: 'never' }), { signal, [key]: text }),
  isGood,
})

const namings: Readonly<Record<string, Naming>> = {
  installation: configured('installation', (it) => typeof it === 'string' && /^[a-z][a-z0-9]{0,15}$/.test(it)),
  extension: configured('templates', isIdentifier, (text) => ({ extensions: [text] })),
  revision: configured(
    'templates',
    (it) => typeof it === 'string' || Number.isFinite(it),
    (revision) => ({ revision }),
  ),
  mode: configured('mode', (it) => it === undefined),
  naming: configured(
    'tenants',
    (it) => it === undefined,
    (naming) => ({ naming }),
  ),
  applicationName: configured('session', isIdentifier, (applicationName) => ({ applicationName })),
  isolationLevel: configured(
    'session',
    () => false,
    (isolationLevel) => ({ isolationLevel }),
  ),
  owner: ensured('owner'),
  template: ensured('template'),
  tablespace: ensured('tablespace'),
  maintenanceDatabase: ensured('maintenanceDatabase'),
  databaseInUrl: {
    call: (text) => ensureDatabase(`${serverUrl()}${encodeURIComponent(text.toWellFormed())}`, { signal }),
    isGood: (it) => typeof it === 'string' && isIdentifier(it.toWellFormed()) && !/^\.\.?$/.test(it),
  },
  url: { call: (text) => ensureDatabase(text, { signal }), isGood: () => false },
  serverName: {
    call: async (name) => {
      const servers = [postgres({ name, url: serverUrl() })]
      return openTenantry({ models, servers, signal })
    },
    isGood: isIdentifier,
  },
  adopted: {
    call: (database) => tenantry.tenants.adopt('never', { database }),
    isGood: isIdentifier,
    ends: ['database-missing', 'invalid-option'],
  },
  ownerOfExisting: {
    call: (owner) => ensureDatabase(serverUrl({ database: world.canary }), { owner }),
    isGood: isIdentifier,
    ends: [],
  },
}

test('names of installations, servers, databases, roles and the like are taken, or refused before anything is touched', async () => {
  const text = fc.oneof(
    { weight: 10, arbitrary: hostileText },
    { weight: 2, arbitrary: notText },
    { weight: 1, arbitrary: longText },
  )
  await world.unchanged(async () => {
    await fc.assert(fc.asyncProperty(text, fc.constantFrom(...Object.keys(namings)), expectNamed), runs(cases.names))
  })
})

async function expectNamed(given: unknown, what: string): Promise<void> {
  const { call, isGood, ends = ['aborted'] } = namings[what]!
  // Nothing but text has a way into a URL.
  const value = what.endsWith('Url') ? String(typeof given === 'symbol' ? 'symbol' : given) : given
  if (!isGood(value)) {
    return expectRefused(() => call(value as string), 'invalid-option', 'invalid-name', 'invalid-url')
  }
  const result = await attempt(() => call(value as string))
  if ('error' in result) expect(ends).toContain(result.error.code)
  // The value compared with it is shown as it was given.
  else
    expect(result.value).toMatchObject({ outcome: 'already-exists', differing: [{ option: 'owner', wanted: value }] })
  tally.accepted++
}

function isIdentifier(value: unknown): boolean {
  if (typeof value !== 'string' || !value.isWellFormed() || /\p{Cc}/u.test(value)) return false
  return value !== '' && Buffer.byteLength(value) <= 63
}
