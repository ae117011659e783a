import type { EntityManager } from '@mikro-orm/postgresql'
import type { Tenantry } from 'tenantry'
import type { LogFailure, OnError, RequestTenant, TenantSource } from 'tenantry/requests'

declare module 'tenantry/requests' {
  interface Registered {
    handle: EntityManager
  }
}

/** A route, for any framework. */
export interface Route {
  readonly method: 'get' | 'post'
  readonly path: string
  /** @param tenant the tenant of the request; absent if it is exempt, and unusable then with NestJS */
  readonly run: (tenant: RequestTenant<EntityManager>, body: unknown) => Promise<unknown>
}

/** The parts of an app. */
export interface AppParts {
  readonly tenantry: Tenantry<EntityManager>
  readonly tenantFrom: readonly TenantSource[]
  readonly exempt?: readonly string[]
  readonly onError?: OnError<unknown>
  readonly log?: LogFailure<unknown> | false
  /** Receives the output of the framework's own logger; frameworks without one write to `console.error`. */
  readonly logged: (text: string) => void
  readonly routes: readonly Route[]
}

/** An app that listens. */
export interface ServedApp {
  readonly port: number
  close(): Promise<void>
}

/** The response of a framework's own error handling to an error that is not ours. */
export const ownAnswer = 'the own error handling'

/** One framework: serves an app on a port that is free. */
export type Serve = (parts: AppParts) => Promise<ServedApp>
