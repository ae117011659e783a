import type { Identifier } from '../kernel/names.ts'
import type { Session } from './session.ts'

/** The listeners of a process on what the others send. */
export interface Listeners {
  readonly onMessage: (text: string) => void
  /** Called once when the connection has ended, for any reason: messages are missed from then on. */
  readonly onEnd: () => void
}

/**
 * A process among those that share a database, for as long as its connection lasts. What it has published and locked
 * ends with that. Independent callers may use it at once.
 */
export interface Membership {
  /** The number of the process: no other present one has it. */
  readonly processId: number
  /** The connection, for queries on the same server: one statement runs after another. */
  readonly session: Pick<Session, 'query'>
  /** Sends a message to all processes, including this one. */
  send(text: string): Promise<void>
  /** Returns the numbers of all processes that are present. */
  present(): Promise<readonly number[]>
  /** Shows a number of 32 bits to the others, under a topic. */
  publish(topic: string, value: number): Promise<void>
  withdraw(topic: string, value: number): Promise<void>
  /** Returns the numbers that all processes have published under a topic. */
  published(topic: string): Promise<readonly number[]>
  /** Takes an exclusive lock if it is free now. */
  tryLock(name: string): Promise<boolean>
  unlock(name: string): Promise<void>
  end(): Promise<void>
}

/** The means by which the processes of an installation know of each other: those of the catalog's database. */
export interface Coordination {
  /** Becomes one of the processes that share a database, and listens. */
  join(database: Identifier, listeners: Listeners): Promise<Membership>
  /** Ends tenants' sessions, the one with the oldest transaction first, until the queue of messages has room. */
  makeRoom(session: Session): Promise<void>
}
