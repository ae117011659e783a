import { PostgresQueryCompiler } from 'kysely'
import { literalOf } from '../migrations/literals.ts'

/**
 * Compiles queries with their values in the text, for scripts, which have no parameters. A quoted value is taken for any
 * type, as a parameter is.
 */
export class LiteralQueryCompiler extends PostgresQueryCompiler {
  protected override appendValue(value: unknown): void {
    this.append(literalOf(value))
  }
}
