throw new Error('The plan file is missing.')
