import type { Node, RangeVar } from 'libpg-query'

/** The place of an object in a database. */
export interface Place {
  readonly schema: string
  readonly name: string
}

/** Reads names of statements, those without a schema as of the default one. */
export class Names {
  readonly #defaultSchema: string

  constructor(defaultSchema: string) {
    this.#defaultSchema = defaultSchema
  }

  relation({ schemaname, relname = '' }: RangeVar = {}): Place {
    return { schema: schemaname ?? this.#defaultSchema, name: relname }
  }

  path(names: readonly Node[] = []): Place {
    const [name = '', schema = this.#defaultSchema] = names.map(textOf).toReversed()
    return { schema, name }
  }
}

function textOf(node: Node): string {
  return 'String' in node ? (node.String.sval ?? '') : ''
}
