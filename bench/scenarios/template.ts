import { type Client, escapeIdentifier } from 'pg'
import type { EntityManager } from '@mikro-orm/postgresql'
import type { Tenantry } from 'tenantry'
import { installation } from '../peers/tenantry.ts'

/** The template's name once Tenantry has made it, which the first tenant brings about. */
export async function findTemplate(tenantry: Tenantry<EntityManager>, admin: Client): Promise<string> {
  await tenantry.onboard('first')
  const { rows } = await admin.query<{ datname: string }>(
    'select datname from pg_database where datistemplate and starts_with(datname, $1)',
    [`${installation}_template_`],
  )
  const [template] = rows
  if (template === undefined) throw new Error('Tenantry has made no template.')
  return template.datname
}

/** Clones at the least cost: the server copies the template, and nothing else is recorded. */
export async function bareClone(client: Client, database: string, template: string): Promise<void> {
  await client.query(`create database ${escapeIdentifier(database)} template ${escapeIdentifier(template)}`)
}
