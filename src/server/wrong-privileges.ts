/** An object in a database whose owner or grants keep the tenant from using it. */
export interface WrongPrivileges {
  readonly kind: 'schema' | 'table' | 'view' | 'sequence'
  /** Qualified if it is not in `public`. */
  readonly name: string
  readonly owner: string
  /** The statements that fix it, for its owner or a superuser to run. */
  readonly statements: readonly string[]
}
