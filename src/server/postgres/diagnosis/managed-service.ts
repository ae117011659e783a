import type { ManagedService } from '../../diagnosis.ts'

interface Service {
  /** The roles and settings that only this service has. */
  readonly markers: readonly string[]
  /** The role with the privileges that elsewhere only a superuser has. */
  readonly administrator: string
}

/**
 * The known services, the more special first. None of them provides a superuser.
 *
 * - Amazon RDS and Aurora: the master user has CREATEDB and CREATEROLE and is in rds_superuser
 *   (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.rds_superuser.html)
 * - Cloud SQL: `postgres`, and every user made in the console, is in cloudsqlsuperuser, with CREATEDB and CREATEROLE
 *   (https://cloud.google.com/sql/docs/postgres/users)
 * - Azure: the administrator is in azure_pg_admin, with CREATEDB and CREATEROLE
 *   (https://learn.microsoft.com/en-us/azure/postgresql/security/security-access-control)
 * - Supabase: `postgres` is no superuser, and cannot change supabase_admin and the service's other roles
 *   (https://supabase.com/docs/guides/database/postgres/roles-superuser, https://github.com/supabase/supautils)
 * - Neon: roles of the console are in neon_superuser, those made by SQL are not; 500 databases and 500 roles a branch
 *   (https://neon.com/docs/manage/roles, https://neon.com/docs/manage/databases)
 */
const services: Readonly<Record<Exclude<ManagedService, 'plain'>, Service>> = {
  supabase: {
    markers: ['supabase_admin', 'supautils.reserved_roles'],
    administrator: 'postgres, in the SQL editor',
  },
  neon: {
    markers: ['neon_superuser', 'neon.timeline_id'],
    administrator: 'a role that was made in the console (it is in neon_superuser)',
  },
  'cloud-sql': {
    markers: ['cloudsqlsuperuser', 'cloudsql.iam_authentication'],
    administrator: 'postgres, or another user in cloudsqlsuperuser',
  },
  azure: {
    markers: ['azure_pg_admin', 'azure.extensions'],
    administrator: 'the administrator of the server (it is in azure_pg_admin)',
  },
  rds: {
    markers: ['rds_superuser', 'rds.extensions'],
    administrator: 'the master user (it is in rds_superuser)',
  },
}

/** All markers of all services. */
export const serviceMarkers: readonly string[] = Object.values(services).flatMap(({ markers }) => markers)

/** Recognises a service by its markers. */
export function serviceOf(found: readonly string[]): ManagedService {
  const known = Object.entries(services) as [ManagedService, Service][]
  return known.find(([, { markers }]) => markers.some((marker) => found.includes(marker)))?.[0] ?? 'plain'
}

/** Returns the role that can run statements for which PostgreSQL alone needs a superuser. */
export function administratorOf(service: ManagedService): string {
  return service === 'plain' ? 'a superuser' : services[service].administrator
}
