import type { QueryRunner } from 'typeorm'
import { migration } from './run-migrations.ts'

// A hundred migrations as real services have them: generated ones, and those that were written for data and for features
// of PostgreSQL.

interface Step {
  readonly name: string
  readonly up: (table: string, runner: QueryRunner) => Promise<unknown>
  readonly transaction?: false
}

const steps: readonly Step[] = [
  {
    name: 'Create',
    up: async (table, runner) => {
      await runner.query(`CREATE TYPE "public"."${table}_state_enum" AS ENUM('open', 'closed')`)
      await runner.query(
        `CREATE TABLE "${table}" ("id" SERIAL NOT NULL, "name" character varying(100) NOT NULL,
         "state" "public"."${table}_state_enum" NOT NULL DEFAULT 'open', "createdAt" TIMESTAMP NOT NULL DEFAULT now(),
         CONSTRAINT "UQ_${table}_name" UNIQUE ("name"), CONSTRAINT "PK_${table}" PRIMARY KEY ("id"))`,
      )
    },
  },
  {
    name: 'Data',
    up: async (table, runner) => {
      const names = ['first', `it's $1`, 'third']
      await runner.query(`INSERT INTO "${table}" ("name") SELECT unnest($1::text[])`, [names])
      await runner.query(`UPDATE "${table}" SET "state" = $1 WHERE "name" = $2`, ['closed', 'first'])
    },
  },
  {
    name: 'Enum',
    up: async (table, runner) => {
      const type = `"public"."${table}_state_enum"`
      await runner.query(`ALTER TYPE ${type} RENAME TO "${table}_state_enum_old"`)
      await runner.query(`CREATE TYPE ${type} AS ENUM('open', 'held', 'closed')`)
      await runner.query(`ALTER TABLE "${table}" ALTER COLUMN "state" DROP DEFAULT`)
      await runner.query(`ALTER TABLE "${table}" ALTER COLUMN "state" TYPE ${type} USING "state"::"text"::${type}`)
      await runner.query(`ALTER TABLE "${table}" ALTER COLUMN "state" SET DEFAULT 'open'`)
      await runner.query(`DROP TYPE "public"."${table}_state_enum_old"`)
      await runner.query(`UPDATE "${table}" SET "state" = 'held' WHERE "state" = 'open'`)
    },
  },
  {
    name: 'Index',
    transaction: false,
    up: (table, runner) => runner.query(`CREATE INDEX CONCURRENTLY "IDX_${table}_state" ON "${table}" ("state")`),
  },
  {
    name: 'Function',
    up: async (table, runner) => {
      await runner.query(
        `CREATE FUNCTION ${table}_shout() RETURNS trigger LANGUAGE plpgsql AS $body$
         BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $body$`,
      )
      await runner.query(
        `CREATE TRIGGER ${table}_shouts BEFORE INSERT ON "${table}" FOR EACH ROW EXECUTE FUNCTION ${table}_shout()`,
      )
    },
  },
  {
    name: 'Block',
    up: (table, runner) =>
      runner.query(`DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM information_schema.columns WHERE table_name = '${table}' AND column_name = 'note') THEN
          ALTER TABLE "${table}" ADD COLUMN "note" text;
        END IF;
      END $$`),
  },
  {
    name: 'Extension',
    up: async (table, runner) => {
      await runner.query(`CREATE EXTENSION IF NOT EXISTS citext`)
      await runner.query(`ALTER TABLE "${table}" ADD "mail" citext`)
    },
  },
  {
    name: 'Key',
    up: async (table, runner) => {
      await runner.query(`ALTER TABLE "${table}" ADD "parentId" integer`)
      await runner.query(`UPDATE "${table}" SET "parentId" = "id"`)
      await runner.query(`ALTER TABLE "${table}" ALTER COLUMN "parentId" SET NOT NULL`)
      await runner.query(
        `ALTER TABLE "${table}" ADD CONSTRAINT "FK_${table}" FOREIGN KEY ("parentId") REFERENCES "${table}"("id") ON DELETE CASCADE`,
      )
    },
  },
  {
    name: 'View',
    up: (table, runner) =>
      runner.query(`CREATE VIEW "${table}_open" AS SELECT "id", "name" FROM "${table}" WHERE "state" <> 'closed'`),
  },
  {
    name: 'Rename',
    up: (table, runner) => runner.query(`ALTER TABLE "${table}" RENAME COLUMN "note" TO "remark"`),
  },
]

/** The migrations: each ten of them make and change one table. */
export const longHistory = Array.from({ length: 10 }, (_, round) =>
  steps.map(({ name, up, transaction }, i) =>
    migration(
      `${name}Item${round}${1_700_000_000_000 + round * 100 + i}`,
      (runner) => up(`item${round}`, runner),
      transaction,
    ),
  ),
).flat()
