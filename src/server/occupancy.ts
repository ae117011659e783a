/** What tells whose a session is, to everybody who may see the server's sessions: part of its application's name. */
export interface SessionMark {
  /** The installation: four letters or digits. */
  readonly family: string
  /** One process of it: four letters or digits. */
  readonly member: string
}

/** How many sessions a server has room for, and has of one installation's. */
export interface Occupancy {
  /** How many sessions roles without special privileges may have at once. */
  readonly room: number
  /** By the process that opened them. */
  readonly sessions: ReadonlyMap<string, number>
}
