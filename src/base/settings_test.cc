#include "base/settings.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

struct Door {
  std::string name;
  std::int64_t width_mm = 800;
};

struct House {
  std::string street = "High \"Street\"\\";
  bool empty = false;
  std::size_t floors = 2;
  double height_m = 7.5;
  std::chrono::milliseconds bell{1500};
  std::string colour = "white";
  std::vector<std::string> names = {"a", "b"};
  std::vector<Door> doors;
};

Describe of(House& house) {
  return [&](Settings& in) {
    in.text("street", house.street, "Where it stands.");
    in.table("building", "What it is like.\nInside and out.", [&](Settings& t) {
      t.boolean("empty", house.empty, "Nobody lives there.");
      t.integer("floors", house.floors, 1, 200, "Above ground.");
      t.number("height_m", house.height_m, 0, 900, "To the roof.");
      t.duration("bell_ms", house.bell, 0, 60'000, "How long it rings.");
      t.choice("colour", house.colour, {"white", "red"}, "Of the walls.");
      t.list("names", house.names, "On the bell.");
    });
    in.tables<Door>("doors", "Ways in.", house.doors, [](Settings& t, Door& door) {
      t.text("name", door.name, "What it says.");
      t.integer("width_mm", door.width_mm, 1, 5000, "Between the posts.");
      if (door.width_mm > 4000 && door.name.empty())
        t.check(invalid("no_name", "a door this wide needs a name"));
    });
  };
}

std::string mistake(const std::string& text) {
  House house;
  const Status status = read_settings(text, "house.toml", of(house));
  return status ? "none" : status.error().code + " " + status.error().message;
}

TEST(Settings, ReadsWhatTheFileSaysAndKeepsTheRest) {
  House house;
  const Status status = read_settings(
      "street = 'Low'\n[building]\nfloors = 3\nheight_m = 9\nbell_ms = 0\ncolour = \"red\"\n"
      "names = []\n[[doors]]\nname = 'front'\n[[doors]]\nwidth_mm = 900\n",
      "house.toml", of(house));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(house.street, "Low");
  EXPECT_FALSE(house.empty);
  EXPECT_EQ(house.floors, 3u);
  EXPECT_EQ(house.height_m, 9.0);
  EXPECT_EQ(house.bell.count(), 0);
  EXPECT_EQ(house.colour, "red");
  EXPECT_TRUE(house.names.empty());
  ASSERT_EQ(house.doors.size(), 2u);
  EXPECT_EQ(house.doors[0].name, "front");
  EXPECT_EQ(house.doors[0].width_mm, 800);
  EXPECT_EQ(house.doors[1].width_mm, 900);
}

TEST(Settings, NamesTheLineAndTheNearestName) {
  EXPECT_EQ(mistake("\n\nstret = 'x'\n"),
            "invalid_config house.toml:3: the file has no setting stret; did you mean street?");
  EXPECT_EQ(mistake("[building]\n\nfloros = 3\n"),
            "invalid_config house.toml:3: [building] has no setting floros; did you mean floors?");
  EXPECT_EQ(mistake("[building]\nqqqqqqq = 3\n"),
            "invalid_config house.toml:2: [building] has no setting qqqqqqq");
  EXPECT_EQ(mistake("[[doors]]\nname = 'a'\n[[doors]]\nnmae = 'b'\n"),
            "invalid_config house.toml:4: [doors] has no setting nmae; did you mean name?");
}

TEST(Settings, NamesWhatIsWrong) {
  EXPECT_EQ(mistake("[building]\nfloors = 201\n"),
            "invalid_config house.toml:2: building.floors must be from 1 to 200, not 201");
  EXPECT_EQ(mistake("[building]\nfloors = '2'\n"),
            "invalid_config house.toml:2: building.floors must be an integer, not a string");
  EXPECT_EQ(mistake("[building]\nfloors = 2.0\n"),
            "invalid_config house.toml:2: building.floors must be an integer, not a number with a "
            "point");
  EXPECT_EQ(mistake("[building]\nempty = 1\n"),
            "invalid_config house.toml:2: building.empty must be true or false, not an integer");
  EXPECT_EQ(mistake("[building]\nheight_m = nan\n"),
            "invalid_config house.toml:2: building.height_m must be from 0 to 900, not nan");
  EXPECT_EQ(mistake("[building]\ncolour = 'blue'\n"),
            "invalid_config house.toml:2: building.colour must be one of: white, red");
  EXPECT_EQ(
      mistake("[building]\nnames = ['a', 1]\n"),
      "invalid_config house.toml:2: building.names must be a list of strings, not an integer");
  EXPECT_EQ(mistake("building = 1\n"),
            "invalid_config house.toml:1: building must be a table, not an integer");
  EXPECT_EQ(mistake("[doors]\nname = 'a'\n"),
            "invalid_config house.toml:1: doors must be written [[doors]], not a table");
  EXPECT_TRUE(mistake("street = \n").starts_with("invalid_config house.toml:1: "));
  EXPECT_TRUE(mistake("a = 1\na = 2\n").starts_with("invalid_config house.toml:2: "));
}

TEST(Settings, NamesTheTableWhereSettingsDoNotGoTogether) {
  EXPECT_EQ(mistake("[[doors]]\nwidth_mm = 10\n\n[[doors]]\nwidth_mm = 4500\n"),
            "invalid_config house.toml:4: a door this wide needs a name");
  EXPECT_EQ(mistake("[[doors]]\nwidth_mm = 4500\nnmae = 'x'\n"),
            "invalid_config house.toml:3: [doors] has no setting nmae; did you mean name?");
}

TEST(Settings, WhatIsPrintedReadsBackTheSame) {
  House house;
  house.street = "tab\there \"and\" \\ there \x7f";
  house.names = {"x", "y\n"};
  house.height_m = 0.1;
  house.doors = {{"front", 1}, {"back", 2}};
  const std::string text = print_settings(of(house));
  House read;
  const Status status = read_settings(text, "printed", of(read));
  ASSERT_TRUE(status) << status.error().message << "\n" << text;
  EXPECT_EQ(read.street, house.street);
  EXPECT_EQ(read.names, house.names);
  EXPECT_EQ(read.height_m, house.height_m);
  ASSERT_EQ(read.doors.size(), 2u);
  EXPECT_EQ(read.doors[1].name, "back");
  EXPECT_EQ(print_settings(of(read)), text);
  EXPECT_NE(text.find("# What it is like.\n# Inside and out.\n[building]\n"), std::string::npos);
  EXPECT_NE(text.find("# Above ground. From 1 to 200.\nfloors = 2\n"), std::string::npos);
}

TEST(Settings, AnEmptyListIsPrintedAsAnExample) {
  House house;
  const std::string text = print_settings(of(house));
  EXPECT_NE(text.find("# [[doors]]\n"), std::string::npos);
  EXPECT_NE(text.find("# width_mm = 800\n"), std::string::npos);
  House read;
  ASSERT_TRUE(read_settings(text, "printed", of(read)));
  EXPECT_TRUE(read.doors.empty());
}

TEST(Settings, NearestAllowsOneSlipInThree) {
  EXPECT_EQ(nearest("prot", {"host", "port"}), "port");
  EXPECT_EQ(nearest("max_connections", {"connections_max", "body_bytes_max"}), "");
  EXPECT_EQ(nearest("conections_max", {"connections_max", "body_bytes_max"}), "connections_max");
  EXPECT_EQ(nearest("x", {}), "");
}

}  // namespace
}  // namespace hearth
