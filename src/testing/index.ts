export type { Check } from './check.ts'
export { type HandleFactoryUnderTest, handleFactoryChecks } from './handle-factory.ts'
export { type SchemaSourceUnderTest, schemaSourceChecks } from './schema-source.ts'
