"""The files of a fleet's repository that are not of one ring or site."""
