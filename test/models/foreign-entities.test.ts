import { defineEntity, p, raw, ref, sql as fragment, wrap } from '@mikro-orm/core'
import { EntityManager, EntityRepository, LockMode, QueryBuilder } from '@mikro-orm/postgresql'
import { Pool } from 'pg'
import { ensureDatabase, ensureTables, type TenantHandles, type TenantIdentity } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { disposableName, errorOf, serverUrl, sql } from '../support/server.ts'
import { tenantPool } from './tenant-pool.ts'

// Both tenants' databases have rows of the same keys, so that any change to a row of the wrong one shows.

const AuthorSchema = defineEntity({
  name: 'Author',
  properties: {
    id: p.integer().primary().autoincrement(),
    name: p.string(),
    books: () => p.oneToMany(Book).mappedBy('author').orphanRemoval(),
  },
})
class Author extends AuthorSchema.class {}
AuthorSchema.setClass(Author)

const PrintSchema = defineEntity({
  name: 'Print',
  embeddable: true,
  properties: { year: p.integer(), editor: () => p.manyToOne(Author).nullable() },
})
class Print extends PrintSchema.class {}
PrintSchema.setClass(Print)

const BookSchema = defineEntity({
  name: 'Book',
  properties: {
    id: p.integer().primary().autoincrement(),
    title: p.string(),
    author: () => p.manyToOne(Author).ref(),
    print: () => p.embedded(Print).nullable(),
    tags: () => p.manyToMany(Tag).owner(),
    pages: () => p.oneToMany(Page).mappedBy('book'),
  },
})
class Book extends BookSchema.class {}
BookSchema.setClass(Book)

const TagSchema = defineEntity({
  name: 'Tag',
  properties: { id: p.integer().primary().autoincrement(), word: p.string() },
})
class Tag extends TagSchema.class {}
TagSchema.setClass(Tag)

const PageSchema = defineEntity({
  name: 'Page',
  properties: { book: () => p.manyToOne(Book).primary(), number: p.integer().primary(), words: p.integer() },
})
class Page extends PageSchema.class {}
PageSchema.setClass(Page)

const models = mikroOrm({ entities: [Author, Print, Book, Tag, Page] })
const databases = [disposableName('foreigna'), disposableName('foreignb')] as const
const pools = [tenantPool(databases[0]), tenantPool(databases[1])] as const
/** Beside those of the tenants, of which the test counts the use. */
const readers = databases.map((database) => new Pool({ connectionString: serverUrl({ database }), max: 1 }))
const tenants: readonly TenantIdentity[] = [
  { id: 'a', rowId: 'first' },
  { id: 'b', rowId: 'second' },
]
let a: TenantHandles<EntityManager>
let b: TenantHandles<EntityManager>
/** The requests for a connection to the database of b. */
const requests = vi.spyOn(pools[1], 'connect')

beforeAll(async () => {
  for (const database of databases) {
    await ensureDatabase(serverUrl({ database }))
    await ensureTables(serverUrl({ database }), models)
  }
  a = await models.handles.open(pools[0], tenants[0]!)
  b = await models.handles.open(pools[1], tenants[1]!)
  await fill()
})
afterAll(() => Promise.all(readers.map((reader) => reader.end())))

/** Gives both databases rows of the same keys. */
async function fill(): Promise<void> {
  for (const [index, database] of databases.entries()) {
    const { id } = tenants[index]!
    await sql(
      `truncate author, book, tag, page, book_tags restart identity cascade;
      insert into author (name) values ('author of ${id}'), ('editor of ${id}');
      insert into book (title, author_id) values ('book of ${id}', 1);
      insert into tag (word) values ('tag of ${id}');
      insert into page (book_id, number, words) values (1, 1, 100)`,
      [],
      database,
    )
  }
}

/** All that is in both databases. */
function contents() {
  const tables = ['author', 'book', 'tag', 'page', 'book_tags']
  const all = tables.map((table) => `(select json_agg(t order by t::text) from ${table} t) as ${table}`).join(', ')
  return Promise.all(readers.map(async (reader) => (await reader.query(`select ${all}`)).rows))
}

/** MikroORM without its types, which would refuse some of the calls that have to be refused here. */
// oxlint-disable-next-line typescript/no-explicit-any -- hundreds of casts would say the same, and hide the calls
type Untyped = any

interface Scene {
  /** A handle of b. */
  readonly em: Untyped
  /** Entities of b that this handle manages. */
  readonly own: { readonly author: Author; readonly book: Book }
  /** Entities of a. */
  readonly foreign: Author
  readonly editor: Author
  readonly book: Book
  readonly tag: Tag
  readonly page: Page
  /** A handle of a. */
  readonly other: Untyped
}

async function scene(): Promise<Scene> {
  const [em, other] = [b.handle(), a.handle()]
  const own = await em.findOneOrFail(Author, 1, { populate: ['books'] })
  const [foreign, editor] = await other.find(Author, {}, { orderBy: { id: 'asc' } })
  const book = await other.findOneOrFail(Book, 1)
  const [tag, page] = [await other.findOneOrFail(Tag, 1), await other.findOneOrFail(Page, [1, 1])]
  return {
    em,
    own: { author: own, book: own.books.getItems()[0]! },
    foreign: foreign!,
    editor: editor!,
    book,
    tag,
    page,
    other,
  }
}

type Attempt = (scene: Scene) => unknown

/** Returns a call as a promise, also if it throws. */
const attempted = async (call: () => unknown): Promise<unknown> => call()

/** Looks that a call is refused, has sent nothing, and leaves the rows of both tenants as they are. */
async function expectRefusal(attempt: Attempt, made?: Scene): Promise<void> {
  const given = made ?? (await scene())
  const before = await contents()
  requests.mockClear()
  const error = await errorOf(attempted(() => attempt(given)))
  expect(error).toMatchObject({ code: 'cross-tenant-entity' })
  expect(requests).not.toHaveBeenCalled()
  await errorOf(attempted(() => given.em.flush().then(() => Promise.reject(new Error('Nothing was pending.')))))
  expect(await contents()).toEqual(before)
}

async function everythingOf(rows: AsyncIterable<unknown>): Promise<void> {
  for await (const row of rows) expect(row).toBeDefined()
}

/** Returns an entity without a tenant that refers to one of a: MikroORM writes it with the foreign key. */
function newBook(author: Author): Book {
  const book = new Book()
  Object.assign(book, { title: 'new', author: ref(author) })
  return book
}

/** Every public method of MikroORM's EntityManager that can be given an entity, by calls that have to be refused. */
const entityManager: Readonly<Record<string, readonly Attempt[]>> = {
  addFilter: [({ em, foreign }) => em.addFilter({ name: 'by', entity: Book, cond: { author: foreign } })],
  applyFilters: [({ em, foreign }) => em.applyFilters(Book, { author: foreign }, {}, 'read')],
  assign: [
    ({ em, own, foreign }) => em.assign(own.book, { author: foreign }),
    ({ em, own, tag }) => em.assign(own.book, { tags: [tag] }),
    ({ em, foreign }) => em.assign(foreign, { name: 'changed' }),
  ],
  callRoutine: [({ em, foreign }) => em.callRoutine({ name: 'none' }, { author: foreign })],
  clone: [
    ({ em, foreign }) => em.clone(foreign),
    ({ em, foreign }) => em.clone(Book, { author: foreign }),
    ({ em, foreign }) => em.clone(Book, { id: 1 }, { author: foreign }),
  ],
  count: [({ em, foreign }) => em.count(Book, { author: foreign })],
  countBy: [({ em, foreign }) => em.countBy(Book, 'title', { where: { author: foreign } })],
  create: [
    ({ em, foreign }) => em.create(Book, { title: 'x', author: foreign }),
    ({ em, foreign }) => em.create(Book, { title: 'x', author: ref(foreign) }),
    ({ em, foreign }) => em.create(Author, { name: 'x', books: [{ title: 'x', author: foreign }] }),
    ({ em, foreign }) => em.create(Book, { title: 'x', author: 1, print: { year: 1, editor: foreign } }),
    ({ em, foreign }) => {
      const print = Object.assign(new Print(), { year: 1, editor: foreign })
      return em.create(Book, { title: 'x', author: 1, print })
    },
    ({ em, book }) => em.create(Page, { book, number: 2, words: 1 }, { managed: true }),
  ],
  execute: [
    ({ em, foreign }) => em.execute('select * from author where id = ?', [foreign]),
    ({ em, foreign }) => em.execute('select * from author where id = :author', { author: foreign }),
    ({ em, foreign }) => em.execute(raw('select * from author where id = ?', [foreign])),
  ],
  find: [
    ({ em, foreign }) => em.find(Author, foreign),
    ({ em, foreign }) => em.find(Author, [foreign]),
    ({ em, foreign }) => em.find(Book, { author: foreign }),
    ({ em, foreign }) => em.find(Book, { author: ref(foreign) }),
    ({ em, foreign }) => em.find(Book, { author: { $in: [foreign] } }),
    ({ em, foreign }) => em.find(Book, { author: { $not: { id: foreign } } }),
    ({ em, foreign }) => em.find(Book, { $or: [{ title: 'x' }, { $and: [{ author: foreign }] }] }),
    ({ em, book }) => em.find(Author, { books: { $some: { id: { $in: [book] } } } }),
    ({ em, book }) => em.find(Book, { tags: book.tags }),
    ({ em, book }) => em.find(Page, { book: { pages: { book } } }),
    ({ em, foreign }) => em.find(Book, { print: { editor: foreign } }),
    ({ em, foreign }) => em.find(Book, { author: raw('?', [foreign]) }),
    ({ em, foreign }) => em.find(Book, { author: { $in: [fragment`${foreign}`] } }),
    ({ em, foreign }) => em.find(Author, {}, { populate: ['books'], populateWhere: { books: { author: foreign } } }),
    ({ em, foreign }) => em.find(Book, {}, { filters: { by: { author: foreign } } }),
    ({ em, foreign }) => em.find(Book, {}, { unionWhere: [{ author: foreign }] }),
    ({ em, other }) => em.find(Book, { author: { $in: other.qb(Author, 'o').select('id') } }),
    ({ em, book }) => {
      const page = Object.assign(new Page(), { book, number: 1 })
      return em.find(Page, page)
    },
  ],
  findAll: [({ em, foreign }) => em.findAll(Book, { where: { author: foreign } })],
  findAndCount: [({ em, foreign }) => em.findAndCount(Book, { author: foreign })],
  findByCursor: [
    ({ em, foreign }) => em.findByCursor(Author, { first: 1, after: foreign, orderBy: { id: 'asc' } }),
    ({ em, foreign }) => em.findByCursor(Book, { first: 1, where: { author: foreign }, orderBy: { id: 'asc' } }),
  ],
  findOne: [
    ({ em, foreign }) => em.findOne(Author, foreign),
    ({ em, foreign }) => em.findOne(Book, { author: foreign }),
    ({ em, page }) => em.findOne(Page, [page.book, 1]),
  ],
  findOneOrFail: [
    ({ em, foreign }) => em.findOneOrFail(Book, { author: foreign }),
    ({ em, foreign }) => em.findOneOrFail(Book, { author: foreign }, { strict: true }),
  ],
  flush: [
    ({ em, own, editor }) => {
      own.book.author = ref(editor)
      return em.flush()
    },
    ({ em, own, foreign }) => {
      own.book.print = Object.assign(new Print(), { year: 1, editor: foreign })
      return em.flush()
    },
    ({ em, foreign }) => {
      em.persist(Object.assign(new Book(), { title: 'x' })).create(Tag, { word: 'x' })
      for (const book of em.getUnitOfWork().getPersistStack()) {
        if (book instanceof Book) book.author = ref(foreign)
      }
      return em.flush()
    },
  ],
  getReference: [
    ({ em, foreign }) => em.getReference(Author, foreign),
    ({ em, book }) => em.getReference(Page, [book, 1]),
    ({ em, book }) => em.getReference(Page, { book, number: 1 }),
  ],
  insert: [
    ({ em, foreign }) => em.insert(foreign),
    ({ em, foreign }) => em.insert(Author, foreign),
    ({ em, foreign }) => em.insert(Book, { title: 'x', author: foreign }),
    ({ em, foreign }) => em.insert(Book, { title: 'x', author: ref(foreign) }),
    ({ em, foreign }) => em.insert(newBook(foreign)),
    ({ em, tag }) => em.insert(Book, { title: 'x', author: 1, tags: [tag] }),
    ({ em, foreign }) => em.insert(Book, { title: 'x', author: 1, print: { year: 1, editor: foreign } }),
    ({ em, foreign }) => {
      class Values {
        title = 'x'
        author = foreign
      }
      return em.insert(Book, new Values())
    },
    ({ em, book }) => em.insert(Object.assign(new Page(), { book, number: 7, words: 1 })),
  ],
  insertMany: [
    ({ em, foreign }) => em.insertMany([foreign]),
    ({ em, foreign }) => em.insertMany([newBook(foreign)]),
    ({ em, foreign }) =>
      em.insertMany(Book, [
        { title: 'x', author: 1 },
        { title: 'x', author: foreign },
      ]),
  ],
  lock: [({ em, foreign }) => em.lock(foreign, LockMode.OPTIMISTIC)],
  map: [({ em, foreign }) => em.map(Book, { id: 9, title: 'x', author_id: foreign })],
  merge: [
    ({ em, foreign }) => em.merge(foreign),
    ({ em, foreign }) => em.merge(Author, foreign),
    ({ em, foreign }) => em.merge(Book, { id: 9, title: 'x', author: foreign }),
    ({ em, foreign }) => em.merge(newBook(foreign)),
  ],
  nativeDelete: [
    ({ em, foreign }) => em.nativeDelete(Author, foreign),
    ({ em, foreign }) => em.nativeDelete(Book, { author: foreign }),
    ({ em, foreign }) => em.nativeDelete(Book, {}, { unionWhere: [{ author: foreign }] }),
  ],
  nativeUpdate: [
    ({ em, foreign }) => em.nativeUpdate(Author, foreign, { name: 'changed' }),
    ({ em, foreign }) => em.nativeUpdate(Book, { author: foreign }, { title: 'changed' }),
    ({ em, foreign }) => em.nativeUpdate(Book, { id: 1 }, { author: foreign }),
  ],
  persist: [
    ({ em, foreign }) => em.persist(foreign),
    ({ em, foreign }) => em.persist([foreign]),
    ({ em, foreign }) => em.persist(new Set([foreign])),
    ({ em, foreign }) => em.persist(ref(foreign)),
    ({ em, foreign }) => em.persist(newBook(foreign)),
  ],
  populate: [
    ({ em, foreign }) => em.populate(foreign, ['books']),
    ({ em, foreign }) => em.populate([foreign], ['books'], { refresh: true }),
    ({ em, own, foreign }) => {
      own.book.author = ref(foreign)
      return em.populate(own.book, ['author.books'])
    },
    ({ em, own, foreign }) => em.populate(own.author, ['books'], { where: { books: { author: foreign } } }),
  ],
  refresh: [({ em, foreign }) => em.refresh(foreign)],
  refreshOrFail: [({ em, foreign }) => em.refreshOrFail(foreign)],
  remove: [({ em, foreign }) => em.remove(foreign), ({ em, foreign }) => em.remove([ref(foreign)])],
  setFilterParams: [({ em, foreign }) => em.setFilterParams('by', { author: foreign })],
  setTransactionContext: [
    ({ em, other }) =>
      other.transactional((tx: Untyped) => {
        em.setTransactionContext(tx.getTransactionContext())
      }),
  ],
  begin: [({ em, other }) => other.transactional((tx: Untyped) => em.begin({ ctx: tx.getTransactionContext() }))],
  transactional: [
    ({ em, other }) =>
      other.transactional((tx: Untyped) =>
        em.transactional(() => Promise.resolve(), { ctx: tx.getTransactionContext() }),
      ),
  ],
  stream: [({ em, foreign }) => everythingOf(em.stream(Book, { where: { author: foreign } }))],
  upsert: [
    ({ em, foreign }) => em.upsert(foreign),
    ({ em, foreign }) => em.upsert(Author, foreign),
    ({ em, foreign }) => em.upsert(Book, { id: 1, title: 'x', author: foreign }),
    ({ em, foreign }) => em.upsert(Object.assign(newBook(foreign), { id: 1 })),
  ],
  upsertMany: [
    ({ em, foreign }) => em.upsertMany([foreign]),
    ({ em, foreign }) => em.upsertMany(Author, [foreign]),
    ({ em, foreign }) => em.upsertMany(Book, [{ id: 1, title: 'x', author: foreign }]),
  ],
  createQueryBuilder: [({ em, other }) => em.createQueryBuilder(other.qb(Author), 'x')],
  qb: [({ em, other }) => em.qb(other.qb(Author), 'x')],
}

/** The other methods, by the reason why they are harmless. */
const harmlessOfEntityManager = {
  'takes no entity, and no condition': `canPopulate clear clearCache clearSessionContext commit fork getAbortOptions
    getFilterParams getLoggerContext getMetadata getSessionContext getTransactionContext getTransactionSessionContext id
    isInTransaction refreshMaterializedView resetTransactionContext rollback schema setFlushMode setLoggerContext
    setSessionContext`,
  'gives a part of the tenant': `getComparator getConnection getContext getDataLoader getDriver getEntityFactory
    getEntityLoader getEventManager getHydrator getKysely getPlatform getRepository getUnitOfWork repo`,
  'is called by those above, which have looked': `applyDiscriminatorCondition autoJoinRefsForFilters buildFields cacheKey
    checkLockRequirements createPopulateWhere forceSelectInForLimitedPopulate getJoinedFilters getPopulateWhere
    lockAndPopulate mergeSessionContext prepareOptions preparePopulate processUnionWhere processWhere shouldRefresh
    storeCache tryCache tryFlush validateIndexUsage validateSessionContextStaging validateWhereKeysForIndex
    withSessionContext`,
}

type QueryAttempt = (query: Untyped, scene: Scene) => unknown

/** Every public method of MikroORM's QueryBuilder that can be given an entity, by calls that have to be refused. */
const queryBuilder: Readonly<Record<string, readonly QueryAttempt[]>> = {
  addSelect: [(qb, { foreign }) => qb.select('id').addSelect(raw('? as x', [foreign]))],
  andHaving: [(qb, { foreign }) => qb.select('id').andHaving({ author: foreign })],
  andOrderBy: [(qb, { foreign }) => qb.select('id').andOrderBy({ author: foreign })],
  andWhere: [(qb, { foreign }) => qb.where({ id: 1 }).andWhere({ author: foreign })],
  applyFilters: [(qb, { foreign }) => qb.applyFilters({ by: { author: foreign } })],
  clone: [(qb, { foreign }) => qb.clone().where({ author: foreign })],
  count: [(qb, { foreign }) => qb.count(raw('?', [foreign]))],
  delete: [(qb, { foreign }) => qb.delete({ author: foreign })],
  distinctOn: [(qb, { foreign }) => qb.select('id').distinctOn(raw('?', [foreign]))],
  from: [(qb, { other }) => qb.from(other.qb(Book), 'x')],
  groupBy: [(qb, { foreign }) => qb.select('id').groupBy(raw('?', [foreign]))],
  having: [(qb, { foreign }) => qb.select('id').having('author_id = ?', [foreign])],
  innerJoin: [(qb, { foreign }) => qb.innerJoin('author', 'x', { id: foreign })],
  innerJoinAndSelect: [(qb, { foreign }) => qb.innerJoinAndSelect('author', 'x', { id: foreign })],
  innerJoinLateral: [(qb, { other }) => qb.innerJoinLateral(['author', other.qb(Author)], 'x', {})],
  innerJoinLateralAndSelect: [(qb, { other }) => qb.innerJoinLateralAndSelect(['author', other.qb(Author)], 'x', {})],
  insert: [
    (qb, { foreign }) => qb.insert({ title: 'x', author: foreign }),
    (qb, { foreign }) => qb.insert([{ title: 'x', author: foreign }]),
    (qb, { book }) => qb.insert(book),
  ],
  insertFrom: [(qb, { other }) => qb.insertFrom(other.qb(Book))],
  join: [(qb, { foreign }) => qb.join('author', 'x', { id: foreign })],
  joinAndSelect: [(qb, { foreign }) => qb.joinAndSelect('author', 'x', { id: foreign })],
  leftJoin: [(qb, { foreign }) => qb.leftJoin('author', 'x', { id: foreign })],
  leftJoinAndSelect: [(qb, { foreign }) => qb.leftJoinAndSelect('author', 'x', { id: foreign })],
  leftJoinLateral: [(qb, { other }) => qb.leftJoinLateral(['author', other.qb(Author)], 'x', {})],
  leftJoinLateralAndSelect: [(qb, { other }) => qb.leftJoinLateralAndSelect(['author', other.qb(Author)], 'x', {})],
  merge: [(qb, { foreign }) => qb.insert({ title: 'x' }).onConflict('id').merge({ author: foreign })],
  onConflict: [(qb, { foreign }) => qb.insert({ title: 'x' }).onConflict(raw('?', [foreign]))],
  orHaving: [(qb, { foreign }) => qb.select('id').orHaving({ author: foreign })],
  orWhere: [(qb, { foreign }) => qb.where({ id: 1 }).orWhere({ author: foreign })],
  orderBy: [(qb, { foreign }) => qb.select('id').orderBy({ author: foreign })],
  populate: [(qb, { foreign }) => qb.populate([], { author: foreign })],
  returning: [(qb, { foreign }) => qb.insert({ title: 'x' }).returning([raw('?', [foreign])])],
  select: [(qb, { foreign }) => qb.select(raw('?', [foreign]))],
  union: [(qb, { other }) => qb.select('id').union(other.qb(Book).select('id'))],
  unionAll: [(qb, { other }) => qb.select('id').unionAll(other.qb(Book).select('id'))],
  update: [(qb, { foreign }) => qb.update({ author: foreign })],
  where: [
    (qb, { foreign }) => qb.where({ author: foreign }),
    (qb, { foreign }) => qb.where({ $or: [{ author: { $in: [ref(foreign)] } }] }),
    (qb, { foreign }) => qb.where('author_id = ?', [foreign]),
    (qb, { foreign }) => qb.where({ [raw('author_id = ?', [foreign])]: [] }).getResult(),
  ],
  with: [(qb, { other }) => qb.with('x', other.qb(Book))],
  withRecursive: [(qb, { other }) => qb.withRecursive('x', other.qb(Book))],
  withSubQuery: [(qb, { other }) => qb.withSubQuery(other.qb(Book), 'x')],
}

const harmlessOfQueryBuilder = {
  'takes no entity, and no condition': `alias as cache collation comment distinct execute getAliasForJoinPath getAliasMap
    getConnection getCount getFormattedQuery getJoinForPath getLoggerContext getNativeQuery getNextAlias getParams getQuery
    getResult getResultAndCount getResultList getSingleResult hasFlag helper hintComment ignore indexHint limit mainAlias
    mapResult mapResults offset setAbortOptions setFlag setFlushMode setLockMode setLoggerContext setPartitionLimit state
    stream toQuery toRaw truncate type unsetFlag withSchema`,
  'is called by those above, which have looked': `addCte addPolymorphicJoin addPropertyJoin addTPTParentFields
    addTPTParentJoins applyDiscriminatorCondition applyJoinedFilters applyTPTJoins applyTPTPolymorphicJoins branchesConflict
    buildUnionQuery canDistributeOrBranches condReferencesAlias createAlias createMainAlias createQueryBuilderHelper
    ensureFromClause ensureNotFinalized ensureTPTJoins finalize fromEntityName fromRawTable fromSubQuery fromVirtual
    getCloneableProps getFieldsForJoinedLoad getJoinSubtree getOrBranchAliases getPopulatePaths getQueryBase getSchema
    getSelectAliases hasToManyJoins init joinReference mergeFilterOrCondition mergeOnConditions nestReferencedJoins
    normalizeJoinPath prepareFields preparePartitionLimit processNestedJoins processOrderBy processPopulateHint
    processPopulateWhere processReturningStatement propagatePopulateHint pruneJoinsForPagination resolveInsertFromColumns
    resolveNestedPath resolveVirtualField rewriteVirtualFieldOrderBy scheduleFilterCheck transferConditionsForOrderByJoins
    transferConditionsToJoin wrapModifySubQuery wrapPaginateSubQuery wrapPartitionLimitSubQuery`,
}

/** Returns the names of all methods of a class and of its parents. */
function methodsOf(type: { readonly prototype: object }): string[] {
  const names = new Set<string>()
  for (let at = type.prototype; at !== Object.prototype; at = Object.getPrototypeOf(at) as object) {
    for (const name of Object.getOwnPropertyNames(at)) if (name !== 'constructor') names.add(name)
  }
  return [...names].toSorted()
}

const namesIn = (groups: Readonly<Record<string, string>>) =>
  Object.values(groups).flatMap((names) => names.split(/\s+/))

describe('each method of the EntityManager', () => {
  it('is known here: decide for a new one if it can receive an entity', () => {
    const known = [...Object.keys(entityManager), ...namesIn(harmlessOfEntityManager)]
    expect(methodsOf(EntityManager)).toEqual(known.toSorted())
  })

  const attempts = Object.entries(entityManager).flatMap(([name, calls]) =>
    calls.map((call, index) => ({ name, number: index + 1, call })),
  )
  it.each(attempts)('refuses entities of another tenant: $name ($number)', ({ call }) => expectRefusal(call))
})

describe('each method of the QueryBuilder', () => {
  it('is known here: decide for a new one if it can receive an entity', () => {
    const known = [...Object.keys(queryBuilder), ...namesIn(harmlessOfQueryBuilder)]
    expect(methodsOf(QueryBuilder)).toEqual(known.toSorted())
  })

  const attempts = Object.entries(queryBuilder).flatMap(([name, calls]) =>
    calls.map((call, index) => ({ name, number: index + 1, call })),
  )
  it.each(attempts)('refuses entities of another tenant: $name ($number)', ({ call }) =>
    expectRefusal((given) => call(given.em.createQueryBuilder(Book, 'b'), given)),
  )
})

describe('each method of a repository', () => {
  it('calls that of the EntityManager of the same name', () => {
    const own = ['getEntityManager', 'getEntityName', 'validateRepositoryType']
    const known = [...Object.keys(entityManager), ...namesIn(harmlessOfEntityManager), ...own]
    expect(methodsOf(EntityRepository).filter((name) => !known.includes(name))).toEqual([])
  })

  it.each<[string, Attempt]>([
    ['find', ({ em, foreign }) => em.getRepository(Book).find({ author: foreign })],
    ['upsert', ({ em, foreign }) => em.getRepository(Author).upsert(foreign)],
    ['qb', ({ em, foreign }) => em.getRepository(Book).qb('b').where({ author: foreign })],
  ])('refuses entities of another tenant: %s', (_, call) => expectRefusal(call))
})

describe('an entity of another tenant', () => {
  it.each<[string, Attempt]>([
    ['the unit of work: register', ({ em, foreign }) => em.getUnitOfWork().register(foreign)],
    ['the unit of work: merge', ({ em, foreign }) => em.getUnitOfWork().merge(foreign)],
    [
      'the unit of work: persist',
      ({ em, foreign }) => {
        em.getUnitOfWork().persist(Object.assign(foreign, { name: 'changed' }))
        return em.flush()
      },
    ],
    ['the loader', ({ em, foreign }) => em.getEntityLoader().populate(Author, [foreign], true, {})],
    ['the driver: find', ({ em, foreign }) => em.getDriver().find(Book, { author: foreign })],
    ['the driver: insert', ({ em, foreign }) => em.getDriver().nativeInsert(Book, { title: 'x', author: foreign })],
    [
      'the driver: insert many',
      ({ em, foreign }) => em.getDriver().nativeInsertMany(Book, [{ title: 'x', author: foreign }]),
    ],
    ['the connection', ({ em, foreign }) => em.getConnection().execute('select ?', [foreign])],
    ['the connection: stream', ({ em, foreign }) => everythingOf(em.getConnection().stream('select ?', [foreign]))],
  ])('is refused by %s', (_, call) => expectRefusal(call))

  it('is refused in a fork, in one that follows contexts, and in a transaction', async () => {
    await expectRefusal(({ em, foreign }) => em.fork().find(Book, { author: foreign }))
    await expectRefusal(({ em, foreign }) => em.fork({ useContext: true }).upsert(foreign))
    const { em, foreign } = await scene()
    const error = await errorOf(em.transactional((tx: Untyped) => tx.upsert(foreign)))
    expect(error).toMatchObject({ code: 'cross-tenant-entity' })
  })

  it('is refused as an item that is taken out of a collection, which would remove it as an orphan', async () => {
    await expectRefusal(({ own, book }) => own.author.books.remove(book))
  })

  it('is refused below a new entity that is merged: a merge goes along all relations', async () => {
    await expectRefusal(({ em, foreign }) => {
      const book = Object.assign(newBook(foreign), { id: 6 })
      return em.merge(Object.assign(new Page(), { book, number: 1, words: 1 }))
    })
  })

  it('is refused when it was streamed, cleared away or removed from its unit of work', async () => {
    const streamed: Author[] = []
    for await (const author of a.handle().stream(Author, { orderBy: { id: 'asc' } })) streamed.push(author)
    await expectRefusal(({ em }) => em.upsert(streamed[0]!))
    const cleared = await scene()
    cleared.other.clear()
    await expectRefusal(({ em, foreign }) => em.persist(foreign), cleared)
    const left = await scene()
    left.other.getUnitOfWork().unsetIdentity(left.foreign)
    await expectRefusal(({ em, foreign }) => em.insert(foreign), left)
  })

  it('is refused when another tenant has the id of its own by now', async () => {
    const next = await models.handles.open(pools[1], { id: 'a', rowId: 'third' })
    const { foreign } = await scene()
    expect(await errorOf(next.handle().upsert(foreign))).toMatchObject({ code: 'cross-tenant-entity', tenant: 'a' })
  })

  it('works on its own database still, inside of work for another tenant', async () => {
    const { em, foreign, book } = await scene()
    await em.transactional(async () => {
      expect((await foreign.books.loadItems()).map(({ title }) => title)).toEqual(['book of a'])
      expect(await wrap(foreign).init()).toMatchObject({ name: 'author of a' })
      expect(await book.author.loadProperty('name')).toBe('author of a')
      expect(await foreign.books.matching({ where: { id: 1 } })).toMatchObject([{ title: 'book of a' }])
      expect(await foreign.books.loadCount()).toBe(1)
    })
  })
})

describe("another tenant's transaction", () => {
  it.each<[string, Attempt]>([
    ['a query', ({ em, other }) => em.find(Author, {}, { ctx: other.getTransactionContext() })],
    ['a stream', ({ em, other }) => everythingOf(em.stream(Author, { ctx: other.getTransactionContext() }))],
    ['a write', ({ em, other }) => em.nativeUpdate(Author, {}, { name: 'x' }, { ctx: other.getTransactionContext() })],
    ['SQL', ({ em, other }) => em.getConnection().execute('select 1', [], 'all', other.getTransactionContext())],
  ])('is not joined by %s', async (_, call) => {
    const given = await scene()
    await given.other.begin()
    await expectRefusal(call, given)
    await given.other.rollback()
  })
})

describe('an entity', () => {
  afterEach(fill)

  it('of the same tenant is taken by every handle of it, also once its models were opened anew', async () => {
    const book = await b.handle().findOneOrFail(Book, 1, { populate: ['author'] })
    const again = await models.handles.open(pools[1], { ...tenants[1]! })
    const em = again.handle()
    await em.upsert(Object.assign(book.author.unwrap(), { name: 'changed' }))
    expect(await em.find(Book, { author: book.author })).toHaveLength(1)
    await em.persist(em.create(Book, { title: 'second', author: book.author })).flush()
    expect(await sql('select name from author where id = 1', [], databases[1])).toEqual([{ name: 'changed' }])
    expect(await em.count(Book, { author: book.author })).toBe(2)
  })

  it('that was made with new, or as a reference, is taken by any tenant', async () => {
    for (const em of [a.handle(), b.handle()]) {
      const author = Object.assign(new Author(), { name: 'new' })
      await em.persist(author).flush()
      await em.insert(Book, { title: 'x', author: ref(Author, 1) })
      await em.persist(Object.assign(new Page(), { book: ref(Book, 1), number: 2, words: 1 })).flush()
      expect(await em.count(Page, { book: ref(Book, 1) })).toBe(2)
    }
  })

  it('may be passed in conditions and options that refer to themselves', async () => {
    const { em, own } = await scene()
    const loggerContext: Record<string, unknown> = { request: {} }
    loggerContext['request'] = { context: loggerContext }
    await expect(em.count(Book, { author: own.author }, { loggerContext })).resolves.toBe(1)
  })
})
