import { describe, expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { quote, sql, sqlAt } from '../support/server.ts'
import { inCatalog } from '../support/tenants.ts'
import { asTenant, attempt, createProvisioner, type Isolated, makeTheirs, openAs } from './support.ts'

// Traps that a tenant leaves in a database for the provisioner to run: none of them may run as more than the owner of
// the tables.

/** Leaves in a table a trigger that tries to become the provisioner, and to make an attacker of it. */
async function plantTrigger(tenantry: Isolated, database: string, attacker: string): Promise<void> {
  const { installation } = tenantry
  const attempts = [
    `set_config('role', 'none', false)`,
    `set_config('session_authorization', 'default', false)`,
    `set_config('role', session_user, false)`,
  ]
  const tries = attempts
    .map(
      (become) => `
        begin
          perform ${become};
          execute 'grant ${installation}_owner, ${installation}_objects to "${attacker}"';
        exception when others then null;
        end;`,
    )
    .join('')
  await sql(
    `create function escape() returns trigger language plpgsql as $f$ begin ${tries} return new; end $f$;
     alter function escape() owner to ${quote(`${installation}_objects`)};
     create trigger escape before insert or update on user_account for each row execute function escape()`,
    [],
    database,
  )
}

/** The roles that a role is a member of, directly or not. */
async function membershipsOf(role: string): Promise<string[]> {
  const rows = await sql<{ rolname: string }>(
    `select rolname from pg_roles where rolname <> $1 and pg_has_role($1, oid, 'member') order by 1`,
    [role],
  )
  return rows.map(({ rolname }) => rolname)
}

describe('a trigger that waits for the provisioner', () => {
  it('in a database that is cloned does not become it while the copy is anonymised', async () => {
    const tenantry = await openAs(await createProvisioner(), {
      hooks: {
        initialise: async (em) => {
          em.create(User, { name: 'first', fullname: null })
          await em.flush()
        },
      },
    })
    await tenantry.onboard('a')
    const { user, database } = await tenantry.tenants.credentials('a')
    await plantTrigger(tenantry, database, user)
    const anonymised = await tenantry.tenants.clone('a', 'b', {
      anonymise: async (em) => {
        const [who] = await em.execute<{ session: string; current: string }[]>(
          'select session_user as session, current_user as current',
        )
        expect(who).toMatchObject({ current: `${tenantry.installation}_objects` })
        expect(who?.session).toMatch(/_r_h_[0-9a-f]{32}_[0-9a-f]{8}$/)
        await em.nativeUpdate(User, {}, { name: 'nobody' })
      },
    })
    expect(anonymised).toMatchObject({ outcome: 'cloned' })
    expect(await tenantry.with('b', (em) => em.count(User, { name: 'nobody' }))).toBe(1)
    expect(await membershipsOf(user)).toEqual([`${tenantry.installation}_app`])
    const helpers = await sql(`select rolname from pg_roles where starts_with(rolname, $1)`, [
      `${tenantry.installation}_r_h_`,
    ])
    expect(helpers).toEqual([])
  })

  it('in a database that is adopted does not become it while it is initialised', async () => {
    const provisioner = await createProvisioner()
    const shop = await createProvisioner()
    const tenantry = await openAs(provisioner, {
      hooks: {
        initialise: async (em) => {
          await em.execute('insert into extra values (current_user)')
        },
      },
    })
    const { database, url } = await makeTheirs(tenantry, shop)
    await sql(`grant ${quote(shop.user)} to ${quote(provisioner.user)}`)
    // On a table of its own: one of the models' that has a trigger would differ from them, and be refused.
    await sqlAt(
      url,
      `create table extra (by text);
       create function escape() returns trigger language plpgsql as $f$
       begin
         perform set_config('role', 'none', false);
         execute 'grant ${tenantry.installation}_owner to "${shop.user}"';
         return new;
       exception when others then return new;
       end $f$;
       create trigger escape before insert on extra for each row execute function escape()`,
    )
    await tenantry.tenants.adopt('it', { database })
    expect(await membershipsOf(shop.user)).toEqual([])
    expect(await sql('select by from extra', [], database)).toEqual([{ by: `${tenantry.installation}_objects` }])
  })
})

describe('a function of a name that PostgreSQL has itself', () => {
  it('in a database that is adopted is not called by the adopting role', async () => {
    const provisioner = await createProvisioner()
    const shop = await createProvisioner()
    const tenantry = await openAs(provisioner)
    const { database, url: theirs } = await makeTheirs(tenantry, shop)
    await sqlAt(theirs, 'create table called (by text)')
    for (const types of ['text, name', 'text, name, name', 'text, text, name, name', 'text, name, name, text']) {
      await sqlAt(
        theirs,
        `create function public.format(${types}) returns text language plpgsql as
         $f$ begin insert into public.called values (current_user); return 'select 1'; end $f$`,
      )
    }
    await sql(`grant ${quote(shop.user)} to ${quote(provisioner.user)}`)
    expect(await tenantry.tenants.adopt('it', { database })).toMatchObject({ outcome: 'adopted' })
    expect(await sqlAt(theirs, 'select * from called')).toEqual([])
  })
})

describe('changes of a role by others', () => {
  it('a drop keeps no tenant from being archived, restored and repaired', async () => {
    const tenantry = await openAs(await createProvisioner())
    await tenantry.onboard('a')
    const { user, database } = await tenantry.tenants.credentials('a')
    await sql(`drop owned by ${quote(user)}`, [], database)
    await sql(`drop role ${quote(user)}`)
    await tenantry.tenants.suspend('a')
    await tenantry.tenants.resume('a')
    await tenantry.tenants.offboard('a')
    await tenantry.tenants.restore('a')
    await tenantry.tenants.rotateCredentials('a')
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
  })

  it('settings and memberships are set right by new credentials', async () => {
    const tenantry = await openAs(await createProvisioner())
    await tenantry.onboard('a')
    const { user } = await tenantry.tenants.credentials('a')
    await asTenant(tenantry, 'a', (client) =>
      client.query('alter role current_user set default_transaction_read_only = on'),
    )
    await sql(`revoke ${quote(`${tenantry.installation}_app`)} from ${quote(user)}`)
    await tenantry.tenants.rotateCredentials('a')
    const written = await tenantry.with('a', async (em) => {
      em.create(User, { name: 'x', fullname: null })
      await em.flush()
      return em.count(User)
    })
    expect(written).toBe(1)
  })

  it('sessions in other databases end with its tenant', async () => {
    const tenantry = await openAs(await createProvisioner())
    await tenantry.onboard('a')
    const ended = asTenant(
      tenantry,
      'a',
      async (client) => {
        const end = new Promise((resolve) => client.once('end', resolve))
        await tenantry.tenants.suspend('a', { drainMs: 0 })
        await end
        return 'ended'
      },
      'postgres',
    )
    expect(await ended).toBe('ended')
  })
})

describe('the catalog', () => {
  it('that PUBLIC may enter again is closed by the next process that opens', async () => {
    const provisioner = await createProvisioner()
    const tenantry = await openAs(provisioner)
    await tenantry.onboard('a')
    const catalog = `${tenantry.installation}_catalog`
    await inCatalog(tenantry, `grant connect on database ${quote(catalog)} to public`)
    expect(await attempt(asTenant(tenantry, 'a', async () => undefined, catalog))).toBe('done')
    await openAs(provisioner, { installation: tenantry.installation })
    expect(await attempt(asTenant(tenantry, 'a', async () => undefined, catalog))).toBe('42501')
  })
})
