import { EntitySchema } from 'typeorm'

// Entities of most kinds, as they are written without decorators.

export interface User {
  id: number
  name: string
  role: 'admin' | 'member'
  initial: string
  tags: string[]
  settings: object
  createdAt: Date
  posts: Post[]
}

export interface Post {
  id: string
  title: string
  author: User
  labels: Label[]
}

export interface Label {
  id: number
  text: string
}

interface Author {
  name: string
  posts: number
}

export const userSchema = new EntitySchema<User>({
  name: 'User',
  tableName: 'users',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    name: { type: 'varchar', length: 100, unique: true, comment: "the user's" },
    role: { type: 'enum', enum: ['admin', 'member'], default: 'member' },
    initial: { type: 'varchar', asExpression: 'substr(name, 1, 1)', generatedType: 'STORED' },
    tags: { type: 'text', array: true, default: () => "'{}'" },
    settings: { type: 'jsonb', default: { theme: "it's" } },
    createdAt: { type: 'timestamptz', createDate: true },
  },
  indices: [{ name: 'admins', columns: ['name'], where: `role = 'admin'` }],
  checks: [{ expression: `length(name) > 0` }],
  relations: { posts: { type: 'one-to-many', target: 'Post', inverseSide: 'author', cascade: true } },
})

export const postSchema = new EntitySchema<Post>({
  name: 'Post',
  tableName: 'posts',
  columns: {
    id: { type: 'uuid', primary: true, generated: 'uuid' },
    title: { type: 'text' },
  },
  relations: {
    author: { type: 'many-to-one', target: 'User', inverseSide: 'posts', nullable: false, onDelete: 'CASCADE' },
    labels: { type: 'many-to-many', target: 'Label', joinTable: true, cascade: true },
  },
})

export const labelSchema = new EntitySchema<Label>({
  name: 'Label',
  schema: 'words',
  tableName: 'label',
  columns: { id: { type: 'int', primary: true, generated: true }, text: { type: 'text' } },
})

export const authorView = new EntitySchema<Author>({
  name: 'Author',
  type: 'view',
  tableName: 'author',
  expression: `select u.name, count(*)::int as posts from users u join posts p on p."authorId" = u.id group by u.name`,
  columns: { name: { type: 'varchar' }, posts: { type: 'int' } },
})

export const entities = [userSchema, postSchema, labelSchema, authorView]
