import { DataTypes, type Sequelize } from 'sequelize'

const columns = { timestamps: false, underscored: true, freezeTableName: true }

/** Sequelize ties its models to one connection pool, so each tenant's has them defined anew. */
export function defineModels(sequelize: Sequelize) {
  const user = sequelize.define(
    'user_account',
    { name: { type: DataTypes.STRING(255), allowNull: false }, fullname: DataTypes.STRING(255) },
    columns,
  )
  const address = sequelize.define(
    'address',
    { emailAddress: { type: DataTypes.STRING(255), allowNull: false } },
    columns,
  )
  user.hasMany(address, { foreignKey: { name: 'userId', allowNull: false } })
  address.belongsTo(user, { foreignKey: { name: 'userId', allowNull: false } })
  return { user }
}
