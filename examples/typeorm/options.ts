import { PostEntity, UserEntity } from './entities.ts'

export const options = {
  entities: [UserEntity, PostEntity],
  migrations: [`${import.meta.dirname}/migrations/*.ts`],
}
