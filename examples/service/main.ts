// A service that makes sure at start-up that its database and tables exist, and gives each tenant a database of its
// own. Run it twice: the second start finds everything in place. `--once` ends it when the tour is over.

import { parseArgs } from 'node:util'
import type { EntityManager } from '@mikro-orm/postgresql'
import { ensureDatabase, ensureTables, openTenantry, type Tenantry, TenantryError } from 'tenantry'
import { developmentServer } from 'tenantry/embedded'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { readUsers, writeUsers } from './people.ts'
import { Address, User } from './models.ts'
import { heading, line, step } from './print.ts'

const tenants = { acme: 'Acme GmbH', globex: 'Globex Corporation', initech: 'Initech' }
const models = mikroOrm({ entities: [User, Address] })

try {
  const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } })
  await tour(values.once)
} catch (error) {
  if (!(error instanceof TenantryError)) throw error
  console.error(`\n${error.message}\n${error.hint ?? ''}\n(${error.code})`)
  process.exitCode = 1
}

async function tour(once: boolean): Promise<void> {
  heading('A server')
  const server = await findServer()
  const madeTables = await startUp(server.url)
  const { tenantry, madeTenants } = await openTenants(server.url)
  await useTenants(tenantry)

  heading(madeTables || madeTenants ? 'Done; a second start will find all of this in place' : 'Nothing was to be made')
  // An embedded server ends with this program: its address would lead nowhere.
  if (!once || server.isGiven) showHowToConnect(server.shownUrl)
  if (!once) await untilInterrupted()
  await tenantry.close()
  await server.stop()
}

function showHowToConnect(shownUrl: string): void {
  line(`psql '${databaseUrl(shownUrl, 'tenantry_t_acme')}' -c 'table user_account'`)
  line(`psql '${databaseUrl(shownUrl, 'tenantry_catalog')}' -c 'select id, state, database from tenantry.tenant'`)
}

/** Runs the start of every service. */
async function startUp(serverUrl: string): Promise<boolean> {
  heading('Start-up: the database and the tables of one service')
  const url = databaseUrl(serverUrl, 'service')
  const database = await step(
    'database service',
    () => ensureDatabase(url),
    ({ outcome }) => outcome,
  )
  const tables = await step(
    'tables of User and Address',
    () => ensureTables(url, models),
    ({ created, existing }) => (created.length > 0 ? `created ${names(created)}` : `already exist: ${names(existing)}`),
  )
  return database.outcome === 'created' || tables.created.length > 0
}

/** Runs the sign-up of every customer in a multi-tenant service. */
async function openTenants(serverUrl: string) {
  heading('Tenants: a database for each')
  const tenantry = await step(
    'the catalog of tenants',
    () => openTenantry({ models, servers: [postgres({ url: serverUrl })] }),
    () => 'open',
  )
  let madeTenants = false
  for (const [id, displayName] of Object.entries(tenants)) {
    const { outcome } = await step(
      `tenant ${id}`,
      () => tenantry.onboard(id, { displayName }),
      (onboarded) => `${onboarded.outcome}, in ${onboarded.tenant.database}`,
    )
    madeTenants ||= outcome === 'onboarded'
  }
  return { tenantry, madeTenants }
}

async function useTenants(tenantry: Tenantry<EntityManager>): Promise<void> {
  heading("Rows, through MikroORM's own EntityManager")
  for (const id of Object.keys(tenants)) {
    await step(`${id} writes`, () => tenantry.with(id, (em) => writeUsers(em, id)), String)
    await step(`${id} reads`, () => tenantry.with(id, (em) => readUsers(em)), String)
  }
}

interface FoundServer {
  readonly url: string
  /** The login, in printable form. */
  readonly shownUrl: string
  /** It runs on when this program has ended. */
  readonly isGiven: boolean
  readonly stop: () => Promise<void>
}

/** The server that DATABASE_URL names, or else an embedded one, which keeps its data in `.tenantry/`. */
async function findServer(): Promise<FoundServer> {
  const given = process.env['DATABASE_URL']
  if (given !== undefined && given !== '') {
    line('the one that DATABASE_URL names')
    return { url: given, shownUrl: withoutPassword(given), isGiven: true, stop: async () => undefined }
  }
  const embedded = await step(
    'embedded PostgreSQL',
    () => developmentServer({ logger: { info: () => undefined, warn: () => undefined } }),
    ({ version, port, outcome }) => `${version} ${outcome} on port ${port}, data in .tenantry/`,
  )
  return { url: embedded.url, shownUrl: embedded.url, isGiven: false, stop: () => embedded.stop() }
}

/** Only the password of a server made for this is shown. */
function withoutPassword(url: string): string {
  const shown = new URL(url)
  shown.password = ''
  return shown.href
}

function databaseUrl(serverUrl: string, database: string): string {
  const target = new URL(serverUrl)
  target.pathname = `/${database}`
  return target.href
}

function names(objects: readonly { readonly name: string }[]): string {
  return objects.map(({ name }) => name).join(', ')
}

/** Waits for Ctrl-C, or for another signal to end. */
async function untilInterrupted(): Promise<void> {
  line('Ctrl-C ends it. The data stays: the next start finds everything in place.')
  const forever = setInterval(() => undefined, 2 ** 31 - 1)
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
  clearInterval(forever)
}
