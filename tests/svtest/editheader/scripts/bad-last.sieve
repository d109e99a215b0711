require "editheader";
deleteheader :last "X-Good";
