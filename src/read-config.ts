import * as v from 'valibot'
import type { TenantryConfig } from './config.ts'
import { TenantryError } from './kernel/errors.ts'
import { Keyring } from './kernel/keyring.ts'
import { loggerOption, stderrLogger } from './kernel/logger.ts'
import { parseInstallation } from './kernel/names.ts'
import {
  cancellable,
  checked,
  days,
  durationMs,
  type Entries,
  extensionNames,
  folder,
  functionOption,
  hasMethods,
  identifier,
  must,
  oneOf,
  options,
  parsed,
  part,
  positiveInteger,
  positiveMs,
  readOptions,
  trueOrFalse,
} from './kernel/options.ts'
import type { Models } from './models/port.ts'
import { requireModels } from './models/require-models.ts'
import type { Seed, TenantHook } from './provisioning/context.ts'
import { firstRevision } from './provisioning/rollouts/version.ts'
import type { Server, SessionDefaults } from './server/port.ts'

type Group<Name extends keyof TenantryConfig<unknown>> = Entries<NonNullable<TenantryConfig<unknown>[Name]>>

/** The largest number of spares. Each is a database: more than these are a typing error. */
const mostSpares = 1_000

const spares = checked<number>(
  (value) => Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= mostSpares,
  `a whole number from 0 to ${mostSpares}`,
  'As many as tenants sign up within a few seconds at the busiest; 0, the default, for none.',
)

const templatesSchema = options({
  spares: v.exactOptional(spares, 0),
  seed: v.exactOptional(functionOption<Seed<unknown>>('It gets the handle on the template: async (em) => { ... }')),
  revision: v.exactOptional(
    checked<string | number>(
      (value) => typeof value === 'string' || Number.isFinite(value),
      'text or a number',
      'Count it up whenever the seed changes.',
    ),
    firstRevision,
  ),
  extensions: v.exactOptional(extensionNames, []),
} satisfies Group<'templates'>)

const hook = functionOption<TenantHook<unknown>>(
  "It gets the handle on the tenant's database, and the tenant: async (em, tenant) => { ... }",
)

const hooksSchema = options({
  initialise: v.exactOptional(hook),
  anonymise: v.exactOptional(hook),
  beforeUpdate: v.exactOptional(hook),
  afterUpdate: v.exactOptional(hook),
} satisfies Group<'hooks'>)

const poolSchema = options({
  waitMs: v.exactOptional(positiveMs, 10_000),
  tenantShare: v.exactOptional(part, 0.5),
  checkMs: v.exactOptional(durationMs, 10_000),
  reset: v.exactOptional(trueOrFalse, false),
  leaseWarningMs: v.exactOptional(durationMs, 60_000),
  traceLeases: v.exactOptional(trueOrFalse, () => process.env['NODE_ENV'] !== 'production'),
} satisfies Group<'pool'>)

const sessionSchema = options({
  isolationLevel: v.exactOptional(oneOf(['read committed', 'repeatable read', 'serializable'])),
  lockTimeoutMs: v.exactOptional(durationMs),
  statementTimeoutMs: v.exactOptional(durationMs),
  idleInTransactionTimeoutMs: v.exactOptional(durationMs),
  applicationName: v.exactOptional(identifier('session.applicationName')),
} satisfies Group<'session'>)

const tenantsSchema = options({
  naming: v.exactOptional(oneOf(['readable', 'opaque'], 'Leave it out for readable names.'), 'readable'),
  connectionLimit: v.exactOptional(positiveInteger),
  retentionDays: v.exactOptional(days, 30),
} satisfies Group<'tenants'>)

const limitsSchema = options({
  drainMs: v.exactOptional(durationMs, 10_000),
  lockTimeoutMs: v.exactOptional(positiveMs, 60_000),
  concurrency: v.exactOptional(positiveInteger, 4),
} satisfies Group<'limits'>)

/** Methods that a server has and a pool of the driver has not. */
const serverMethods = ['connect', 'pool', 'sessionPool', 'open', 'diagnose', 'environment']

const serverSchema = checked<Server>(
  (value) => hasMethods(value, ...serverMethods),
  'a server',
  "Make it with postgres({ url }) from 'tenantry/postgres'.",
)

/** A schema for each key of a configuration, with its default. */
export const configEntries = {
  models: parsed((models: Models<unknown>) => {
    requireModels('openTenantry', models)
    return models
  }),
  servers: v.exactOptional(
    v.pipe(
      v.array(serverSchema, must('a list', 'Write servers: [postgres({ url }), ...].')),
      v.minLength(1, must('a list of at least one server', 'Leave it out for the server of DATABASE_URL.')),
    ),
  ),
  catalog: v.exactOptional(
    options({
      server: v.exactOptional(serverSchema),
      create: v.exactOptional(trueOrFalse, true),
    } satisfies Group<'catalog'>),
    {},
  ),
  installation: v.exactOptional(parsed(parseInstallation), 'tenantry'),
  mode: v.exactOptional(oneOf(['full', 'router'], 'Leave it out for a process that onboards tenants.'), 'full'),
  whenBehind: v.exactOptional(
    oneOf(['allow', 'refuse', 'update'], 'Leave it out to allow tenants of any version.'),
    'allow',
  ),
  baseDir: v.exactOptional(folder),
  logger: v.exactOptional(loggerOption, stderrLogger),
  templates: v.exactOptional(templatesSchema, {}),
  roles: v.exactOptional(
    oneOf(['separate', 'shared'], 'Leave it out to give each tenant a role of its own.'),
    'separate',
  ),
  credentials: v.exactOptional(
    options({
      key: v.exactOptional(parsed((text: string) => Keyring.parse(text))),
      keyLost: v.exactOptional(trueOrFalse, false),
    } satisfies Group<'credentials'>),
    {},
  ),
  hooks: v.exactOptional(hooksSchema, {}),
  pool: v.exactOptional(poolSchema, {}),
  session: v.exactOptional(sessionSchema, {}),
  tenants: v.exactOptional(tenantsSchema, {}),
  limits: v.exactOptional(limitsSchema, {}),
  ...cancellable,
} satisfies Entries<TenantryConfig<unknown>>

const configSchema = options(configEntries)

type Read = v.InferOutput<typeof configSchema>

/** A configuration that was checked, with its defaults; most groups are spread. */
export type CheckedConfig<Handle> = Omit<
  Read,
  'models' | 'servers' | 'signal' | 'templates' | 'hooks' | 'tenants' | 'limits'
> &
  Read['templates'] &
  Read['hooks'] &
  Read['tenants'] &
  Read['limits'] & { readonly models: Models<Handle> }

/**
 * Reads a configuration before anything is touched.
 *
 * @throws `invalid-option`, `invalid-name`
 */
export function readConfig<Handle>(
  given: TenantryConfig<Handle>,
): CheckedConfig<Handle> & Pick<Read, 'servers' | 'signal'> {
  const { templates, hooks, tenants, limits, ...read } = readOptions('The configuration', configSchema, given)
  checkServers(read)
  checkPooledSession(read)
  return {
    ...read,
    ...templates,
    ...hooks,
    ...tenants,
    ...limits,
    models: read.models as Models<Handle>,
    catalog: { ...read.catalog, create: read.catalog.create && read.mode !== 'router' },
    session: { statementTimeoutMs: defaultStatementMs, ...read.session },
  }
}

/** The default time limit of a tenant's statement, in milliseconds. */
const defaultStatementMs = 30_000

/** The servers of a configuration. */
export interface ConfiguredServers {
  readonly servers?: readonly Server[] | undefined
  readonly catalog: { readonly server?: Server }
}

/** Checks that the servers of a configuration fit together. @throws `invalid-option` */
export function checkServers({ servers = [], catalog }: ConfiguredServers): void {
  const { server: home = servers[0] } = catalog
  const all = home === undefined || servers.includes(home) ? servers : [home, ...servers]
  if (new Set(all.map(({ name }) => name)).size === all.length) return
  throw new TenantryError('invalid-option', 'Each server must be given once, and have a name of its own.', {
    hint: "Name them: postgres({ name: 'eu-1', url }). As catalog.server give one of servers itself, or one of another name.",
  })
}

function checkPooledSession({
  session: { applicationName: _, isolationLevel, ...timeouts },
  servers = [],
}: ConfiguredServers & { readonly session: SessionDefaults }): void {
  const isSet = isolationLevel !== undefined || Object.values(timeouts).some((ms = 0) => ms > 0)
  if (!isSet || !servers.some((it) => it.pooling === 'transaction')) return
  throw new TenantryError('invalid-option', 'A pooler in transaction mode keeps none of the settings in session.', {
    hint: 'Set it in PostgreSQL (ALTER ROLE ... SET, ALTER DATABASE ... SET), or use session mode. applicationName holds.',
  })
}
