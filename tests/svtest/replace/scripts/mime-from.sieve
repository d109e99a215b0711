require "replace";
replace :from "a@example.org" :mime "y";
