import type { Cancellable } from '../../../kernel/abort.ts'
import type { Identifier } from '../../../kernel/names.ts'
import type { Secret } from '../../../kernel/secret.ts'
import type { DiagnosisRequest } from '../../diagnosis.ts'
import type { Listeners, Session } from '../../port.ts'
import type { Attempts } from './attempts.ts'
import type { Scratch } from './scratch.ts'

/** A role that can log in, and its password. */
export interface ProbeLogin {
  readonly user: Identifier
  readonly password: Secret
}

/** The connections of a probe. */
export interface ProbeConnections {
  readonly maintenanceDatabase: Identifier
  connect(database: Identifier, options?: Cancellable): Promise<Session>
  connectAs(login: ProbeLogin, database: Identifier, options?: Cancellable): Promise<Session>
  listen(database: Identifier, channel: string, listeners: Listeners): Promise<Session>
}

/** The context of the parts of a probe. */
export interface ProbeContext {
  readonly connections: ProbeConnections
  /** On the maintenance database. */
  readonly session: Session
  readonly scratch: Scratch
  readonly login: ProbeLogin
  readonly attempts: Attempts
  readonly request: DiagnosisRequest
}

/** True if a condition holds, by a statement that returns it as `holds`. */
export async function holds(session: Session, sql: string, params: readonly unknown[]): Promise<boolean> {
  const { rows } = await session.query<{ holds: boolean }>(sql, params)
  return rows[0]?.holds === true
}
