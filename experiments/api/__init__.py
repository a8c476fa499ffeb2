"""The functions of `import prism_bench`: the commands, called from Python."""
