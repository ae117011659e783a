import type { MikroORM } from '@mikro-orm/postgresql'
import { SqlSchemaGenerator } from '@mikro-orm/sql'

/** The statements that make the desired schema in an empty database. */
export async function createStatements(orm: MikroORM): Promise<readonly string[]> {
  const generator = new StatementGenerator(orm.em)
  await generator.getCreateSchemaSQL({ wrap: false })
  return generator.statements
}

/** MikroORM's generator, with the statements as it makes them, before it joins them into one text. */
class StatementGenerator extends SqlSchemaGenerator {
  statements: string[] = []

  constructor(em: ConstructorParameters<typeof SqlSchemaGenerator>[0]) {
    super(em)
    Object.defineProperty(this, 'wrapSchema', {
      value: (sql: string[]) => {
        this.statements = sql.map((statement) => statement.trim()).filter((statement) => statement !== '')
        return this.statements.join('\n')
      },
    })
  }
}
