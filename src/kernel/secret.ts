import { inspect } from 'node:util'

/** A value that must not be printed: it shows as `***` in strings, JSON and console output. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** Returns the value itself. Call it at the last moment, and pass the value to nothing that prints. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '***'
  }

  toJSON(): string {
    return '***'
  }

  [inspect.custom](): string {
    return '***'
  }
}
