import type { BroughtUp, Outcome } from './bring-up.ts'
import type { Folder } from './folder.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Presence } from './presence.ts'

/** A running server. */
export interface EmbeddedPostgres extends AsyncDisposable {
  /** The superuser's connection URL to the database `postgres`. It holds the password, so it is not printed. */
  readonly url: string
  readonly port: number
  readonly dataDir: string
  /** PostgreSQL's version, such as 18.4. */
  readonly version: string
  /** The file with the superuser's password, readable by its owner alone. */
  readonly passwordFile: string
  readonly logFile: string
  /**
   * `started`: by this call. `shared`: it runs for another living process (or another call of this one). `adopted`: it
   * was left running by a process that has ended.
   */
  readonly outcome: Outcome
  /**
   * Ends this use of the server, and the server itself with its last use. May be called twice.
   *
   * @throws `embedded-failed` if the server does not end
   */
  stop(): Promise<void>
  /** True once {@link stop} has ended this use, and others still use the server. */
  readonly runsOn: boolean
}

interface Parts extends BroughtUp {
  readonly folder: Folder
  readonly superuser: string
  readonly version: string
  readonly password: Secret
  readonly presence: Presence
}

/** The handle for callers. */
export class RunningPostgres implements EmbeddedPostgres {
  readonly port: number
  readonly dataDir: string
  readonly version: string
  readonly passwordFile: string
  readonly logFile: string
  readonly outcome: Outcome
  readonly #superuser: string
  readonly #password: Secret
  readonly #presence: Presence

  constructor({ server, outcome, folder, superuser, version, password, presence }: Parts) {
    this.port = server.port
    this.dataDir = folder.root
    this.version = version
    this.passwordFile = folder.password
    this.logFile = folder.log
    this.outcome = outcome
    this.#superuser = superuser
    this.#password = password
    this.#presence = presence
  }

  /** A getter of the class, since console.log and JSON.stringify leave those out. */
  get url(): string {
    const [user, password] = [this.#superuser, this.#password.reveal()].map(encodeURIComponent)
    return `postgresql://${user}:${password}@127.0.0.1:${this.port}/postgres`
  }

  get runsOn(): boolean {
    return this.#presence.othersLeft
  }

  stop(): Promise<void> {
    return this.#presence.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}
