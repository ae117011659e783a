import { describe, expect, it } from 'vitest'
// The pure part, and the list of its codes; neither is part of the public face.
import { untried, warningCodes } from '../../dist/server/diagnosis.js'
import { diagnose } from '../../dist/server/postgres/diagnosis/diagnose.js'
import type { ReadFacts, ServerFacts } from '../../dist/server/postgres/diagnosis/facts.js'
import { parseInstallation } from '../../dist/kernel/names.js'
import { readPage } from '../docs/markdown.ts'
import { identifier } from '../support/names.ts'
import { codes } from './support.ts'

const role = {
  name: 'app "one"',
  superuser: false,
  createDatabase: true,
  createRole: true,
  inherit: true,
  signalBackend: true,
  connectionLimit: -1,
}

/** A server and a role with which all is well. */
const read: ReadFacts = {
  version: '18.4',
  role,
  markers: [],
  hasMembershipOptions: true,
  maxConnections: 100,
  reservedConnections: 3,
  recoverySync: 'syncfs',
  passwordEncryption: 'scram-sha-256',
  isEncrypted: true,
  isLocal: false,
  databases: 4,
  encoding: 'UTF8',
  invalidDatabases: [],
  oldCollations: [],
  openToPublic: [],
  publicSchemas: new Map(),
  unvisited: [],
  ownRoles: [],
  foreignOwners: [],
  leakedDirectories: [],
  trustRules: [],
  leftovers: [],
}

const probed = {
  capabilities: { ...untried, createDatabase: true },
  refusals: [],
  refusedExtensions: [],
  isWrongPasswordAccepted: false,
}

const well: ServerFacts = {
  installation: parseInstallation('shop'),
  roles: 'separate',
  maintenanceDatabase: identifier('postgres'),
  connections: 26,
  read,
  probed,
}

const found = (facts: Partial<ReadFacts>, more: Partial<ServerFacts> = {}) =>
  diagnose({ ...well, ...more, read: { ...read, ...facts } })

describe('a server with which all is well', () => {
  it('has no finding, probed or not', () => {
    for (const diagnosis of [diagnose(well), diagnose({ ...well, probed: undefined })]) {
      expect(diagnosis).toMatchObject({ service: 'plain', missing: [], warnings: [], unseen: [] })
    }
  })
})

/** The reason of each warning, in facts that cause no other. */
const warned: Readonly<Record<(typeof warningCodes)[number], Partial<ReadFacts>>> = {
  'collation-version': { oldCollations: ['shop_catalog'] },
  'createrole-before-16': { hasMembershipOptions: false },
  encoding: { encoding: 'SQL_ASCII' },
  'invalid-databases': { invalidDatabases: ['half dropped'] },
  'leaked-directories': { leakedDirectories: ['base/17000'] },
  'many-databases': { databases: 1_001 },
  'no-signal-backend': { role: { ...role, signalBackend: false } },
  'no-tls': { isEncrypted: false },
  'password-encryption': { passwordEncryption: 'md5' },
  'probe-leftovers': { leftovers: [{ kind: 'role', name: identifier('shop_probe_0123_owner') }] },
  'public-connect': { openToPublic: ['postgres', 'template1'] },
  'public-create': { publicSchemas: new Map([['postgres', ['public', 'a "b"']]]) },
  'recovery-sync': { recoverySync: 'fsync', databases: 100 },
  superuser: { role: { ...role, superuser: true } },
  'too-few-connections': { maxConnections: 28 },
  'trust-authentication': { trustRules: ['host all all 127.0.0.1'] },
}

describe('a warning', () => {
  it.each(warningCodes)('%s: the state, the reason, and the remedy', (code) => {
    const { missing, warnings } = found(warned[code])
    expect([missing, codes(warnings)]).toEqual([[], [code]])
    for (const text of ['found', 'why', 'fix'] as const) expect(warnings[0]?.[text]).toMatch(/^[A-Za-z].*\.$/)
    for (const statement of warnings[0]!.sql) expect(statement).toMatch(/^[A-Z ]+.*;$/)
  })

  it('comes only with the state that it warns of', () => {
    expect(found({ isEncrypted: false, isLocal: true }).warnings).toEqual([])
    expect(found({ recoverySync: 'fsync', databases: 99 }).warnings).toEqual([])
    expect(found({ recoverySync: 'fsync', databases: 100, markers: ['rds_superuser'] }).warnings).toEqual([])
    expect(found({ databases: 1_000 }).warnings).toEqual([])
    expect(codes(found({ databases: 401, markers: ['neon_superuser'] }).warnings)).toEqual(['many-databases'])
    expect(found({ maxConnections: 29 }).warnings).toEqual([])
    expect(found({ openToPublic: ['postgres'] }, { roles: 'shared' }).warnings).toEqual([])
    expect(
      found({ role: { ...role, createRole: false }, hasMembershipOptions: false }, { roles: 'shared' }).warnings,
    ).toEqual([])
    expect(found({}, { probed: { ...probed, isWrongPasswordAccepted: true } }).warnings).toMatchObject([
      { code: 'trust-authentication' },
    ])
  })

  it('counts the limit of the role where that is nearer', () => {
    const [warning] = found({ role: { ...role, connectionLimit: 25 } }).warnings
    expect(warning?.sql).toEqual(['ALTER ROLE "app ""one""" CONNECTION LIMIT -1;'])
  })

  it('grants the role access before it revokes that of PUBLIC in the database that it works from', () => {
    const [{ sql } = { sql: [] }] = found({ openToPublic: ['postgres', 'a', 'b', 'c', 'd', 'e', 'f'] }).warnings
    expect(sql.slice(0, 2)).toEqual([
      'GRANT CONNECT ON DATABASE "postgres" TO "app ""one""";',
      'REVOKE CONNECT ON DATABASE "postgres" FROM PUBLIC;',
    ])
    expect(sql).toHaveLength(6)
  })
})

describe('parts that the role may not see', () => {
  it('are reported, and nothing is concluded from them', () => {
    const facts = { leakedDirectories: undefined, trustRules: undefined }
    expect(codes(found(facts, { probed: undefined }).unseen)).toEqual(['leaked-directories', 'trust-authentication'])
    expect(found(facts, { probed: undefined }).warnings).toEqual([])
    expect(codes(found(facts).unseen)).toEqual(['leaked-directories'])
  })
})

describe('the managed service', () => {
  it.each([
    ['rds', ['rds_superuser'], /rds_superuser/],
    ['rds', ['rds.extensions'], /master user/],
    ['cloud-sql', ['cloudsqlsuperuser'], /cloudsqlsuperuser/],
    ['azure', ['azure_pg_admin'], /azure_pg_admin/],
    ['supabase', ['supabase_admin'], /postgres, in the SQL editor/],
    ['neon', ['neon_superuser'], /console/],
  ] as const)('%s, by %s', (service, markers, runAs) => {
    const diagnosis = found({ markers, role: { ...role, createDatabase: false } }, { probed: undefined })
    expect(diagnosis.service).toBe(service)
    expect(diagnosis.missing).toMatchObject([{ code: 'create-database', runAs: expect.stringMatching(runAs) }])
  })
})

describe('missing privileges and objects', () => {
  const refusing = (...capabilities: (keyof typeof untried)[]) => ({
    ...probed,
    capabilities: {
      ...probed.capabilities,
      ...Object.fromEntries(capabilities.map((capability) => [capability, false])),
    },
    refusals: capabilities.map((capability) => ({ capability, message: 'no', sqlState: '42501' })),
  })

  it('are those refused in a trial, with any attributes', () => {
    const { missing } = found({}, { probed: refusing('createDatabase') })
    expect(missing).toEqual([
      { code: 'unsupported', what: 'It cannot create a database: no.', sql: [], runAs: undefined },
    ])
  })

  it('are not those that work without the attribute, as on some services', () => {
    expect(found({ role: { ...role, createDatabase: false } }).missing).toEqual([])
  })

  it('is pg_signal_backend only where a session can be ended in no other way', () => {
    expect(found({}, { probed: refusing('endSessions') }).missing).toEqual([])
    const { missing, warnings } = found(
      { role: { ...role, signalBackend: false } },
      { probed: refusing('endSessions', 'endSessionsAsMember') },
    )
    expect(missing).toMatchObject([
      { code: 'end-sessions', sql: ['GRANT pg_signal_backend TO "app ""one""";'], runAs: 'a superuser' },
    ])
    expect(warnings).toEqual([])
  })

  it('is a role that is there, unless it may be joined', () => {
    const owner = { name: identifier('shop_owner'), purpose: 'owner', mayUse: false, maySet: false } as const
    const ownRoles = [{ ...owner, mayAdmit: false, admins: ['anna', 'bob'] }]
    expect(found({ ownRoles }).missing).toMatchObject([
      {
        sql: ['GRANT "shop_owner" TO "app ""one""" WITH INHERIT TRUE, SET TRUE;'],
        runAs: 'a superuser, or anna, or bob',
      },
    ])
    expect(found({ ownRoles, hasMembershipOptions: false }).missing).toMatchObject([
      { sql: ['GRANT "shop_owner" TO "app ""one""";'] },
    ])
    expect(found({ ownRoles: [{ ...owner, mayAdmit: true, admins: [] }] }).missing).toEqual([])
    expect(found({ ownRoles }, { roles: 'shared' }).missing).toEqual([])
  })

  it("is nothing of roles with roles: 'shared'", () => {
    const facts = { role: { ...role, createRole: false, inherit: false, signalBackend: true } }
    expect(found(facts, { roles: 'shared', probed: undefined }).missing).toEqual([])
  })
})

describe('the page', () => {
  const page = readPage('docs/commands/doctor.md')
  // Capabilities that one operation shows share a row.
  const cells = [...page.matchAll(/^\| ((?:`[\w-]+`(?:, )?)+) \|/gm)].map(([, cell = '']) => cell)
  const rows = cells.flatMap((cell) => [...cell.matchAll(/[\w-]+/g)].map(([code]) => code))

  it('has a row for each warning, each missing privilege or object, and each capability', () => {
    expect(rows).toEqual(expect.arrayContaining([...warningCodes]))
    expect(rows).toEqual(expect.arrayContaining(Object.keys(untried)))
  })
})
