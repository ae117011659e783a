import { EntitySchema } from 'typeorm'

export interface User {
  id: number
  name: string
  posts: Post[]
}

export interface Post {
  id: number
  title: string
  author: User
}

export const UserEntity = new EntitySchema<User>({
  name: 'User',
  tableName: 'users',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    name: { type: 'text' },
  },
  relations: {
    posts: { type: 'one-to-many', target: 'Post', inverseSide: 'author', cascade: true },
  },
})

export const PostEntity = new EntitySchema<Post>({
  name: 'Post',
  tableName: 'posts',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    title: { type: 'text' },
  },
  relations: {
    author: { type: 'many-to-one', target: 'User', inverseSide: 'posts', nullable: false, onDelete: 'CASCADE' },
  },
})
